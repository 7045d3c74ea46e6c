import { Socket } from "node:net";
import { Worker } from "node:worker_threads";

/** The command at which a process kills itself, counted from its start, and the side of it. */
export interface CommandDeath {
  readonly command: number;
  readonly when: "before" | "after";
}

/**
 * Kills this process before or after it sends a command to its engine: a write to the server's socket, or a message to the
 * thread of the embedded database. `die` is called in place of the process's own end, and must kill it.
 */
export function dieAtCommand({ command, when }: CommandDeath, die: () => void): void {
  let sent = 0;
  const isLast = (): boolean => ++sent === command;
  // oxlint-disable-next-line typescript/unbound-method -- called with its own object below
  const { write } = Socket.prototype;
  Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof write>): boolean {
    const isDying = isLast();
    if (isDying && when === "before") die();
    const isSent = write.apply(this, args);
    if (isDying) die();
    return isSent;
  } as typeof write;
  // oxlint-disable-next-line typescript/unbound-method -- called with its own object below
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (this: Worker, ...args: Parameters<typeof postMessage>): void {
    const isDying = isLast();
    if (isDying && when === "before") die();
    postMessage.apply(this, args);
    if (isDying) die();
  } as typeof postMessage;
}
