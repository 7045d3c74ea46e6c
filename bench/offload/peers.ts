/** Each peer with two threads, used as its documentation recommends. */
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

/** The peers by their names. */
const makers: Readonly<Record<string, () => Omit<Peer, "name">>> = {
  Piscina: () => {
    const pool = piscina();
    return { call: (value) => pool.run(value) as Promise<unknown>, close: () => pool.destroy() };
  },
  tinypool: () => {
    const pool = new Tinypool({ filename: file("trivial.mjs"), minThreads: THREADS, maxThreads: THREADS });
    return { call: (value) => pool.run(value), close: () => pool.destroy() };
  },
  workerpool: () => {
    const pool = workerpool.pool(file("workerpool-worker.mjs"), {
      workerType: "thread",
      minWorkers: THREADS,
      maxWorkers: THREADS,
    });
    return { call: (value) => pool.exec("same", [value]), close: async () => pool.terminate(true) };
  },
  "raw postMessage": raw,
};

export const peerNames: readonly string[] = Object.keys(makers);

export function makePeer(name: string): Peer {
  return { name, ...makers[name]!() };
}

/** Threads, postMessage and a map of promises: a program without a pool. */
function raw(): Omit<Peer, "name"> {
  const pending = new Map<number, (value: unknown) => void>();
  const workers = Array.from({ length: THREADS }, () => new Worker(file("raw-worker.mjs")));
  for (const worker of workers)
    worker.on("message", ([id, value]: [number, unknown]) => {
      pending.get(id)!(value);
      pending.delete(id);
    });
  let next = 0;
  return {
    call: (value) =>
      new Promise((resolve) => {
        const id = next++;
        pending.set(id, resolve);
        workers[id % THREADS]!.postMessage([id, value]);
      }),
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  };
}
