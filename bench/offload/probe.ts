/** Tests the table of docs/offload.md: `node --conditions=@taskloom/source bench/offload/probe.ts`. */
import { fileURLToPath } from "node:url";
import { ThreadPoolExecutor, threaded } from "@taskloom/offload";
import { Piscina } from "piscina";
import { Tinypool } from "tinypool";
import { Pool, Worker, spawn } from "threads";
import workerpool from "workerpool";

const file = fileURLToPath(new URL("./probe-jobs.mjs", import.meta.url));
interface Contender {
  run(job: string, arg?: unknown, signal?: AbortSignal): Promise<unknown>;
  close(): Promise<unknown>;
}
type Make = (threads: number) => Contender;

const makers: Record<string, Make> = {
  Taskloom: (threads) => {
    const pool = new ThreadPoolExecutor({ maxThreads: threads, cancelGrace: 10 });
    const module = threaded<{ default(call: { job: string; arg: unknown }): unknown }>(
      new URL("./probe-jobs.mjs", import.meta.url),
    );
    return {
      run: async (job, arg, signal) =>
        (signal ? pool.with({ signal }) : pool).submit(module.default, { job, arg }),
      close: () => pool.shutdown({ cancelPending: true, cancelRunning: true }),
    };
  },
  Piscina: (threads) => {
    const pool = new Piscina({ filename: file, minThreads: threads, maxThreads: threads });
    pool.on("error", () => {});
    return {
      run: (job, arg, signal) => pool.run({ job, arg }, signal ? { signal } : {}) as Promise<unknown>,
      close: () => pool.destroy(),
    };
  },
  tinypool: (threads) => {
    const pool = new Tinypool({ filename: file, minThreads: threads, maxThreads: threads });
    return {
      run: (job, arg, signal) => pool.run({ job, arg }, signal ? { signal } : {}) as Promise<unknown>,
      close: () => pool.destroy(),
    };
  },
  workerpool: (threads) => {
    const pool = workerpool.pool(file, {
      workerType: "thread",
      maxWorkers: threads,
      workerThreadOpts: { argv: ["--workerpool"] },
    });
    return {
      run: (job, arg, signal) => {
        const call = pool.exec("run", [{ job, arg }]);
        signal?.addEventListener("abort", () => {
          try {
            call.cancel();
          } catch {
            // Its own kind of promise throws here as well.
          }
        });
        return new Promise((resolve, reject) => {
          call.then(resolve, reject);
        });
      },
      close: async () => pool.terminate(true),
    };
  },
  "threads.js": (threads) => {
    const pool = Pool(() => spawn<{ run(call: object): unknown }>(new Worker("./probe-jobs-threadsjs.mjs")), {
      size: threads,
    });
    return {
      run: (job, arg, signal) => {
        const call = pool.queue((thread) => thread.run({ job, arg }));
        // It has no signal; its cancel() removes a call that no thread has started.
        signal?.addEventListener("abort", () => call.cancel());
        return Promise.resolve(call);
      },
      close: () => pool.terminate(true),
    };
  },
};

const limit = <T>(work: Promise<T>, ms = 1500): Promise<T> =>
  Promise.race([
    work,
    new Promise<never>((_resolve, reject) => setTimeout(() => reject(new Error("no answer")), ms)),
  ]);
const outcome = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return await limit(work);
  } catch (error) {
    return error;
  }
};
const short = (error: unknown): string =>
  error instanceof Error ? `${error.constructor.name}: ${error.message.slice(0, 70)}` : String(error);

const probes: Record<string, (make: Make) => Promise<string>> = {
  "order of 100 calls on one thread, every third with a signal": async (make) => {
    const pool = make(1);
    const log = new Int32Array(new SharedArrayBuffer(4 * 101));
    const { signal } = new AbortController();
    await Promise.all(
      Array.from({ length: 100 }, (_, id) =>
        pool.run("mark", { log, id }, id % 3 === 0 ? signal : undefined),
      ),
    );
    await pool.close();
    const order = [...log.subarray(1)];
    return order.every((id, i) => id === i) ? "kept" : `lost: ${order.slice(0, 12).join(" ")} …`;
  },
  "cancel a busy loop beside a call on the other thread": async (make) => {
    const pool = make(2);
    await Promise.all([pool.run("wait", 50), pool.run("wait", 50)]);
    const abort = new AbortController();
    const beside = outcome(pool.run("wait", 300));
    const victim = outcome(pool.run("spin", null, abort.signal));
    await new Promise((resolve) => setTimeout(resolve, 50));
    abort.abort();
    const text = `${short(await victim)}; beside: ${short(await beside)}`;
    await pool.close();
    return text;
  },
  "a thrown RangeError subclass with code and cause": async (make) => {
    const pool = make(1);
    const error = (await outcome(pool.run("fail"))) as Error & { code?: string };
    await pool.close();
    return [
      error instanceof RangeError ? "RangeError" : error.constructor.name,
      `code ${error.code ?? "lost"}`,
      error.cause instanceof TypeError ? "cause kept" : "cause lost",
    ].join(", ");
  },
  "a result with a function in it, beside another call": async (make) => {
    const pool = make(1);
    const beside = pool.run("wait", 30);
    const text = short(await outcome(pool.run("uncloneable")));
    const other = short(await outcome(beside));
    await pool.close();
    return `${text}; beside: ${other}`;
  },
  "a Buffer comes back as": async (make) => {
    const pool = make(1);
    const value = (await outcome(pool.run("buffer"))) as object;
    await pool.close();
    return value.constructor.name;
  },
  "a function inside an argument": async (make) => {
    const pool = make(1);
    const value = await outcome(
      (async () => pool.run("callBack", { tools: { back: (n: number) => n + 1 } }))(),
    );
    await pool.close();
    return short(value);
  },
  "process.exit(3) in a call": async (make) => {
    const pool = make(1);
    const text = short(await outcome(pool.run("leave")));
    const next = short(await outcome(pool.run("wait", 1)));
    await pool.close();
    return `${text}; next call: ${next}`;
  },
  "two lines printed by a thread that then blocks for 300 ms arrive after": async (make) => {
    const pool = make(1);
    await pool.run("wait", 1);
    const start = performance.now();
    const { write } = process.stdout;
    const at: string[] = [];
    process.stdout.write = (text: string | Uint8Array) => {
      for (const line of String(text).matchAll(/line \d/g))
        at.push(`${line[0]}: ${(performance.now() - start).toFixed(0)} ms`);
      return true;
    };
    await pool.run("talk");
    await new Promise((resolve) => setTimeout(resolve, 50));
    process.stdout.write = write;
    await pool.close();
    return at.join(", ");
  },
  "a timer that a call left behind": async (make) => {
    const pool = make(1);
    const { write } = process.stdout;
    let ran = false;
    process.stdout.write = (text: string | Uint8Array) => {
      ran ||= String(text).includes("timer ran");
      return true;
    };
    await pool.run("timer");
    await new Promise((resolve) => setTimeout(resolve, 200));
    process.stdout.write = write;
    await pool.close();
    return ran ? "runs" : "is frozen until the next call";
  },
};

process.on("uncaughtException", (error) => {
  console.log(`  (thrown where no code can catch the error, which ends the process: ${short(error)})`);
});
for (const [what, probe] of Object.entries(probes)) {
  console.log(what);
  for (const [name, make] of Object.entries(makers)) {
    const text = await limit(probe(make), 6000).catch((error: unknown) => short(error));
    console.log(`  ${name.padEnd(11)} ${text}`);
  }
}
process.exit();
