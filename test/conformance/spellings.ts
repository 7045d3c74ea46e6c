import { registerHooks } from "node:module";

import { coroutine } from "@taskloom/loop";
import type { Awaitable } from "@taskloom/loop";

import { interpret } from "./interpret.ts";
import type { Spellings } from "./interpret.ts";
import type { Program } from "./program.ts";
import { Steps } from "./steps.ts";
import type { World } from "./world.ts";

type Spelling = new (world: World) => Steps;

/**
 * The form of a program: generators, `async` functions that call each other directly, `async` functions that
 * are each a `coroutine(fn)`, or each function in one of the three forms.
 */
export const modes = ["generator", "async", "wrapped", "mixed"] as const;
export type Mode = (typeof modes)[number];

/** The text of steps.ts with its generators turned into `async` functions. */
function toAsync(source: string): string {
  return source
    .replaceAll("coroutine(function* (", "coroutine(async function (")
    .replaceAll(/^ {2}\*(?=\w+\()/gm, "  async ")
    .replaceAll("yield* ", "await ")
    .replace("isPlain: boolean = false", "isPlain: boolean = true");
}

async function loadAsync(): Promise<Spelling> {
  const hooks = registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith("/steps.ts?async")) return loaded;
      return { ...loaded, source: toAsync(Buffer.from(loaded.source as Uint8Array).toString()) };
    },
  });
  try {
    const module = (await import(`${new URL("steps.ts", import.meta.url).href}?async`)) as {
      Steps: Spelling;
    };
    return module.Steps;
  } finally {
    hooks.deregister();
  }
}

/** Returns the same class with each of its `async` methods as a coroutine. */
function wrap(Plain: Spelling): Spelling {
  class Wrapped extends Plain {
    override readonly isPlain = false;
  }
  const methods = Object.getOwnPropertyDescriptors(Plain.prototype) as Record<string, PropertyDescriptor>;
  for (const [name, { value }] of Object.entries(methods)) {
    if (Object.prototype.toString.call(value) !== "[object AsyncFunction]") continue;
    const method = value as (...args: unknown[]) => Awaitable<unknown>;
    Object.defineProperty(Wrapped.prototype, name, {
      value(this: Steps, ...args: unknown[]) {
        return coroutine(method.bind(this))(...args);
      },
    });
  }
  return Wrapped;
}

const Async = await loadAsync();
const Wrapped = wrap(Async);
const three: readonly Spelling[] = [Steps, Async, Wrapped];

/** Returns the interpreter of each function of a program in a mode. */
export function spellingsOf(program: Program, mode: Mode): Spellings {
  const bodies = [...program.functions, program.main];
  if (mode !== "mixed") {
    const one = three[modes.indexOf(mode)]!;
    return bodies.map(() => one);
  }
  // The choice is a function of the text: the same program is mixed in the same way each time, and a smaller
  // program in another way.
  return bodies.map((body, index) => three[(JSON.stringify(body).length + index) % 3]!);
}

/**
 * Returns the trace of a program in a mode. A line is added if the program does not end or a rejection is
 * unhandled.
 */
export async function interpretIn(mode: Mode, program: Program): Promise<string[]> {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => void rejections.push(reason);
  process.on("unhandledRejection", onRejection);
  const gaveUp = new Promise<string[]>((resolve) => {
    setTimeout(resolve, 10_000, ["0 0 - program did not end"]).unref();
  });
  try {
    const trace = await Promise.race([interpret(program, spellingsOf(program, mode)), gaveUp]);
    return [...trace, ...rejections.map((each) => `0 0 - program unhandled rejection: ${String(each)}`)];
  } catch (error) {
    return [`0 0 - program failed: ${error instanceof Error ? error.stack : String(error)}`];
  } finally {
    process.off("unhandledRejection", onRejection);
  }
}
