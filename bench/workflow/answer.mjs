// Answers the bench's requests in a process of any side; see protocol.ts.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** The greatest number of runs at a time in the measurement of many runs. */
export const AT_ONCE = 100;

/** @param {Record<string, (question: any) => Promise<unknown>>} measures */
export function answer(measures) {
  process.on("message", async (question) => {
    process.send({ answer: await measures[question.name](question) });
  });
  process.on("disconnect", () => process.exit());
  process.send({ ready: true });
}

/** Imports a package from the folder of the peers. */
export function importPeer(peers, name) {
  return import(pathToFileURL(createRequire(join(peers, "package.json")).resolve(name)).href);
}

/** The times at which steps start. */
export class Marks {
  #times = [];

  add() {
    return this.#times.push(performance.now());
  }

  clear() {
    this.#times = [];
  }

  /** The times between the starts. */
  get between() {
    return { times: this.#times.slice(1).map((time, at) => time - this.#times[at]) };
  }
}

export async function timed(body) {
  const from = performance.now();
  await body();
  return { time: performance.now() - from };
}

/** Makes `count` calls, at most {@link AT_ONCE} at a time. */
export async function crowd(count, call) {
  let left = count;
  const next = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, next));
}
