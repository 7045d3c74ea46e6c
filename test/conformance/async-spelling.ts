import { registerHooks } from "node:module";

import type { Program } from "./program.ts";

/**
 * The interpreter in the `async` spelling: the same text, its generators turned into async functions as it
 * is loaded. An `await` gives way where a `yield*` does not, so its order is not CPython's and its traces are
 * not compared. That every program ends, without an unhandled rejection, is checked.
 */
export async function loadAsyncInterpreter(): Promise<(program: Program) => Promise<string[]>> {
  const hooks = registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith("/interpret.ts?async")) return loaded;
      return { ...loaded, source: toAsync(Buffer.from(loaded.source as Uint8Array).toString()) };
    },
  });
  try {
    const module = (await import(`${new URL("interpret.ts", import.meta.url).href}?async`)) as {
      interpret: (program: Program) => Promise<string[]>;
    };
    return module.interpret;
  } finally {
    hooks.deregister();
  }
}

function toAsync(source: string): string {
  return source
    .replaceAll("coroutine(function* (", "coroutine(async function (")
    .replaceAll(/^ {2}\*(?=#?\w+\()/gm, "  async ")
    .replaceAll("yield* ", "await ");
}

/** What went wrong with a program in the async spelling, or nothing. */
export async function complaint(
  interpret: (program: Program) => Promise<string[]>,
  program: Program,
): Promise<string | undefined> {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => void rejections.push(reason);
  process.on("unhandledRejection", onRejection);
  const gaveUp = new Promise<string>((resolve) => {
    setTimeout(resolve, 10_000, "did not end").unref();
  });
  try {
    const trace = await Promise.race([interpret(program), gaveUp]);
    if (typeof trace === "string") return trace;
    if (rejections.length > 0) return `unhandled rejection: ${String(rejections[0])}`;
    return undefined;
  } catch (error) {
    return error instanceof Error ? String(error.stack) : String(error);
  } finally {
    process.off("unhandledRejection", onRejection);
  }
}
