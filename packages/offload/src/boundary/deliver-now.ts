import { receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";

/**
 * Hands what has arrived on a port to the port's listeners now, in order, Comlink's among them. What a thread
 * posted is complete when it has exited, but the events of its ports and its own `exit` come in any order.
 */
export function deliverNow(port: MessagePort): void {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
    port.emit("message", next.message);
}
