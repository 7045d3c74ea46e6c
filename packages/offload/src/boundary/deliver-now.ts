import { receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";

/**
 * Delivers the messages that have arrived on a port to the port's listeners now, in order. Comlink's listeners are
 * among them. All messages of a thread have arrived when it has exited, but the events of its ports and its own
 * `exit` event come in any order.
 */
export function deliverNow(port: MessagePort): void {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
    port.emit("message", next.message);
}
