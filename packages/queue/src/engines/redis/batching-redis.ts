import type { Socket } from "node:net";
import { Redis } from "ioredis";

/**
 * So many commands go out in one write: enough to share the system call, and so few that Redis begins with the first
 * while the last are still made.
 */
const commandsAtMost = 8;

/**
 * A client whose commands of one turn share their writes. ioredis makes a system call for each, which for a worker
 * with many jobs is a fifth of its time; its pipelines cost more to make than they save.
 */
export class BatchingRedis extends Redis {
  #held = 0;
  #socket: Socket | undefined;

  override sendCommand(...args: Parameters<Redis["sendCommand"]>): ReturnType<Redis["sendCommand"]> {
    if (this.#held === 0) this.#hold();
    const sent = super.sendCommand(...args);
    if (this.#held > 0 && ++this.#held > commandsAtMost) this.#release();
    return sent;
  }

  #hold(): void {
    // There is none before the first command has connected; what waits for that is written by ioredis in one go.
    const socket = (this as unknown as { stream?: Socket }).stream;
    if (socket === undefined) return;
    this.#socket = socket;
    this.#held = 1;
    socket.cork();
    process.nextTick(() => this.#release());
  }

  #release(): void {
    this.#socket?.uncork();
    this.#socket = undefined;
    this.#held = 0;
  }
}
