import { Worker } from "node:worker_threads";

/**
 * Makes Redis close all client connections while the event loop of this thread is blocked, so that no client
 * notices it before its next write. A thread of its own sends the command to Redis.
 */
export class ConnectionKiller implements Disposable {
  readonly #counts = new Int32Array(new SharedArrayBuffer(8));
  readonly #thread: Worker;
  killed = 0;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#thread = new Worker(killing, {
      eval: true,
      workerData: { host: hostname, port: Number(port), counts: this.#counts },
    });
    this.#thread.unref();
  }

  /** Returns when the connections are closed. */
  killAll(): void {
    const before = Atomics.load(this.#counts, 1);
    this.#thread.postMessage("kill");
    Atomics.wait(this.#counts, 1, before);
    this.killed += Atomics.load(this.#counts, 0);
  }

  [Symbol.dispose](): void {
    void this.#thread.terminate();
  }
}

/** Plain JavaScript, because a thread that starts from source text does not strip types. */
const killing = `
const { parentPort, workerData: { host, port, counts } } = require("node:worker_threads");
const socket = require("node:net").connect(port, host);
socket.setNoDelay(true);
parentPort.on("message", () => socket.write("CLIENT KILL TYPE normal SKIPME yes\\r\\n"));
socket.on("data", (text) => {
  Atomics.store(counts, 0, Number(String(text).slice(1)));
  Atomics.add(counts, 1, 1);
  Atomics.notify(counts, 1);
});
`;
