/** Answers the bench's requests in a process of any side; see protocol.ts. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Question } from "./protocol.ts";

/** The greatest number of runs at a time in the measurement of many runs. */
export const AT_ONCE = 100;

type Measures = {
  [Name in Question["name"]]?: (question: Question & { readonly name: Name }) => Promise<unknown>;
};

/** Answers questions with the measures of a side, and tells the bench that it can. */
export function answer(measures: Measures): void {
  process.on("message", (question: Question) => {
    const measure = measures[question.name] as ((asked: Question) => Promise<unknown>) | undefined;
    if (measure === undefined) throw new Error(`This side does not measure "${question.name}"`);
    void measure(question).then((figures) => process.send?.({ answer: figures }));
  });
  process.on("disconnect", () => process.exit());
  process.send?.({ ready: true });
}

/** Imports a package from the folder of the peers. */
export async function importPeer(peers: string, name: string): Promise<Record<string, unknown>> {
  const path = createRequire(join(peers, "package.json")).resolve(name);
  return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
}

/** The times at which steps start. */
export class Marks {
  #times: number[] = [];

  add(): number {
    return this.#times.push(performance.now());
  }

  clear(): void {
    this.#times = [];
  }

  /** The times between the starts, in milliseconds. */
  get between(): { readonly times: readonly number[] } {
    return { times: this.#times.slice(1).map((time, at) => time - this.#times[at]!) };
  }
}

/** Returns the time of a body, in milliseconds. */
export async function timed(body: () => PromiseLike<unknown>): Promise<{ readonly time: number }> {
  const from = performance.now();
  await body();
  return { time: performance.now() - from };
}

/** Makes `count` calls, at most {@link AT_ONCE} at a time. */
export async function crowd(count: number, call: () => Promise<unknown>): Promise<void> {
  let left = count;
  const next = async (): Promise<void> => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, next));
}
