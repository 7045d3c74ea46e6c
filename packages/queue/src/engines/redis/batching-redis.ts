import { Redis } from "ioredis";

/**
 * How many commands share one write. Redis begins with the first commands of a turn while the process still makes the
 * last ones. A pipeline may exceed this number, because it is never split.
 */
const MAX_COMMANDS = 8;

type SendArgs = Parameters<Redis["sendCommand"]>;

/**
 * A client whose commands of one turn share their writes. ioredis makes one system call for each command, which takes a
 * fifth of the time of a worker with many jobs; an ioredis pipeline costs more than it saves.
 *
 * Invariant: the socket is never uncorked in the middle of a pipeline or a transaction. ioredis counts the commands of a
 * pipeline as it hands them to the socket and writes their text with the last one. If a write fails at once between two
 * of them, ioredis takes the first commands as sent and queues the others; after the reconnect it sends the first ones
 * twice and the last ones never, and every answer goes to the wrong command.
 */
export class BatchingRedis extends Redis {
  #held = 0;
  #socket: Redis["stream"] | undefined;
  /** Between `MULTI` and `EXEC` that are sent as single commands, with `multi({ pipeline: false })`. */
  #isInTransaction = false;

  override sendCommand(...args: SendArgs): ReturnType<Redis["sendCommand"]> {
    const [command, stream] = args;
    const { pipelineIndex = 0 } = command;
    if (this.#held >= MAX_COMMANDS && pipelineIndex === 0 && !this.#isInTransaction) this.#release();
    if (this.#held === 0) this.#hold();
    if (stream === undefined) {
      if (command.name === "multi") this.#isInTransaction = true;
      else if (command.name === "exec" || command.name === "discard") this.#isInTransaction = false;
    }
    const sent = super.sendCommand(...args);
    if (this.#held > 0) this.#held++;
    return sent;
  }

  #hold(): void {
    // There is no socket before the first command has connected; ioredis writes the commands that wait for it at once.
    const socket: Redis["stream"] | undefined = this.stream;
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
