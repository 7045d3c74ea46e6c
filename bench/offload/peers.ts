/** Each peer, as its documentation says to use it, with two threads. */
import { Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import { Tinypool } from "tinypool";
import workerpool from "workerpool";

export interface Peer {
  readonly name: string;
  call(value: unknown): PromiseLike<unknown>;
  close(): Promise<unknown>;
}

export const THREADS = 2;
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export function piscina(maxThreads: number = THREADS): Piscina {
  return new Piscina({ filename: file("trivial.mjs"), minThreads: maxThreads, maxThreads });
}

export function peers(): Peer[] {
  const pool = piscina();
  const tiny = new Tinypool({ filename: file("trivial.mjs"), minThreads: THREADS, maxThreads: THREADS });
  const workers = workerpool.pool(file("workerpool-worker.mjs"), {
    workerType: "thread",
    minWorkers: THREADS,
    maxWorkers: THREADS,
  });
  return [
    { name: "Piscina", call: (value) => pool.run(value) as Promise<unknown>, close: () => pool.destroy() },
    { name: "tinypool", call: (value) => tiny.run(value), close: () => tiny.destroy() },
    {
      name: "workerpool",
      call: (value) => workers.exec("same", [value]),
      close: async () => workers.terminate(true),
    },
    raw(),
  ];
}

/** Threads, postMessage, a map of promises: what one writes without a pool. */
function raw(): Peer {
  const pending = new Map<number, (value: unknown) => void>();
  const workers = Array.from({ length: THREADS }, () => new Worker(file("raw-worker.mjs")));
  for (const worker of workers)
    worker.on("message", ([id, value]: [number, unknown]) => {
      pending.get(id)!(value);
      pending.delete(id);
    });
  let next = 0;
  return {
    name: "raw postMessage",
    call: (value) =>
      new Promise((resolve) => {
        const id = next++;
        pending.set(id, resolve);
        workers[id % THREADS]!.postMessage([id, value]);
      }),
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  };
}
