import { machine } from "./machine.ts";
import { isOwnFrame } from "../own-frames.ts";
import { AWAITING, PAUSING, PENDING, RUNNING } from "./states.ts";
import type { Frame, Steppable, Strand, StrandTask } from "./strand.ts";

/** A task as its own strand. */
type StackedTask = Strand & StrandTask & { readonly _coro: unknown };

/** The folders whose generators stand between a program's own frames. */
export const STEPPING: readonly string[] = ["kernel", "task", "sync", "waiting"];

/** Returns the frames of a generator that is suspended at an awaitable of this package, innermost first. No code of the generator runs. */
function probe(gen: Steppable): string[] {
  const found = { stack: "" };
  const outer = machine.probe;
  machine.probe = found;
  try {
    gen.next();
  } catch {
    return [];
  } finally {
    machine.probe = outer;
  }
  const lines = found.stack.split("\n").slice(1);
  const own = lines.findIndex((line) => line.includes("at probe ") || line.includes("at gen.next"));
  return lines
    .slice(0, own < 0 ? lines.length : own)
    .filter((line) => !isOwnFrame(line, STEPPING) && !line.includes(".next ("))
    .map((line) => line.trim());
}

/** Returns the stack of a task's coroutines, outermost first; empty once the task is done. */
export function coroutineStack(task: StackedTask): string[] {
  return task._state === PENDING ? strandStack(task) : [];
}

/** Returns the same for one strand. */
export function strandStack(strand: Strand): string[] {
  const suspended = strand._phase === AWAITING || strand._phase === PAUSING;
  const lines: string[] = [];
  let gen = strand._gen;
  let frame: Frame | null = strand._frame;
  let isTop = true;
  while (gen !== null) {
    const found = (isTop ? suspended : true) && isRealGenerator(gen) ? probe(gen) : [];
    if (found.length === 0 && frame !== null) lines.push(`at ${frame.name}`);
    lines.push(...found);
    if (frame === null) break;
    gen = frame._outerGen;
    frame = frame._outer;
    isTop = false;
  }
  return lines.toReversed();
}

function isRealGenerator(gen: Steppable): boolean {
  return Object.prototype.toString.call(gen) === "[object Generator]";
}

/** Returns `name() running at file.ts:4`, or `name()` if the place is unknown. */
export function locate(task: StackedTask): string {
  const name = nameOf(task._coro);
  if (task._state !== PENDING || task._phase === RUNNING) return `${name}()`;
  const stack = coroutineStack(task);
  const top = stack.at(-1);
  const outermost = stack[0];
  const own = /^at (?:async )?(.+?) \(/.exec(outermost ?? "")?.[1];
  const place = top === undefined ? null : /([^/\\(]+:\d+):\d+\)?$/.exec(top)?.[1];
  return `${name === "<anonymous>" && own !== undefined ? own : name}()${place ? ` running at ${place}` : ""}`;
}

function nameOf(coro: unknown): string {
  if (typeof coro === "function") return coro.name === "" ? "<anonymous>" : coro.name;
  if (typeof coro === "object" && coro !== null && "name" in coro && typeof coro.name === "string") {
    return coro.name;
  }
  if (coro instanceof Promise) return "promise";
  return "<anonymous>";
}
