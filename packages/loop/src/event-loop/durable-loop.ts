import { UsageError } from "../errors.ts";
import { userLine } from "../own-frames.ts";
import { FutureCore } from "../task/future-core.ts";
import { leavesOf } from "../task/leaves.ts";
import { machine } from "../task/machine.ts";
import { isThenable } from "../task/open.ts";
import type { Startable } from "../task/open.ts";
import { Operation } from "../task/operation.ts";
import { strandStack } from "../task/stack.ts";
import type { Strand } from "../task/strand.ts";
import type { Task, TaskOptions } from "../task/task.ts";
import { DrivenLoop } from "./driven-loop.ts";

/**
 * The loop of a durable coroutine. It takes nothing that its driver does not deliver: an `ExternalTask`, a native
 * promise, `toThread`, input and output, and futures of other loops are refused with `DURABLE_OUTSIDE`. A generator
 * gets the error at the await. V8 does not show the promise that an `async` function awaits. `outsideError` therefore
 * returns the error once the loop rests and the function waits for nothing of the loop.
 *
 * ```ts
 * import { DurableLoop } from "@taskloom/loop/durable";
 * import { ensureFuture } from "@taskloom/loop";
 *
 * const loop = new DurableLoop(0);
 * const task = loop.createTask(function* () {
 *   yield* ensureFuture(Promise.resolve(1));
 * });
 * await loop.drive(0);
 * console.log((task.exception() as { code: string }).code); // DURABLE_OUTSIDE
 * loop.close();
 * ```
 */
export class DurableLoop extends DrivenLoop {
  #woken: UsageError | null = null;
  #hasRun = false;

  /** Runs as `DrivenLoop` does. From the first call on, only this method may wake the loop. */
  override drive(time: number, deliver?: () => void): void | Promise<void> {
    this.#hasRun = true;
    return super.drive(time, deliver);
  }

  /**
   * Returns the error of a loop at rest that cannot go on from recorded deliveries alone; null if it can. Either an
   * `async` function waits for a promise that is not the loop's, or something has woken the loop between two drives.
   */
  outsideError(): UsageError | null {
    if (this.#woken !== null) return this.#woken;
    if (this.outsideWork === 0) return null;
    const waiting: string[] = [];
    for (const task of this._tasks) if (waitsOutside(task)) waiting.push(task._describe());
    return outside(`a native promise, in ${waiting.join(", ") || "an async function"}`, undefined);
  }

  /** Makes a task as `EventLoop` does, but refuses a promise, at the line that passes it. */
  override createTask<T>(work: Startable<T>, options: TaskOptions = {}): Task<T> {
    if (typeof work !== "function" && isThenable(work)) {
      if (!(work instanceof FutureCore || work instanceof Operation)) {
        throw this._refusal("a native promise");
      }
    }
    return super.createTask(work, options);
  }

  /** @internal */
  override _refusal(work: string): UsageError {
    return outside(work, lineHere());
  }

  /** @internal Every new ready entry and every new timer passes here. */
  override _nudge(): void {
    if (this.isDriven || !this.#hasRun || this.#woken !== null || this.isClosed()) return;
    this.#woken = outside("something that settled by itself", lineHere());
  }
}

/** Returns the line of the running code, or the line at which the running strand has just suspended. */
function lineHere(): string | undefined {
  const stack = new Error().stack?.split("\n") ?? [];
  // Frames below the pump are the driver's.
  const pump = stack.findIndex((line) => line.includes("._pump ("));
  const line = userLine(stack.slice(0, pump < 0 ? undefined : pump).join("\n"));
  if (line !== undefined || machine.strand === null) return line;
  return userLine(strandStack(machine.strand).at(-1));
}

function outside(work: string, line: string | undefined): UsageError {
  return new UsageError(
    "DURABLE_OUTSIDE",
    `A durable coroutine awaits ${work}${line === undefined ? "" : ` at ${line}`}, which is not recorded: ` +
      "put the work into a task, and write `yield* step(task, …)` or `await step(task, …)`",
  );
}

/** Returns whether an `async` function of a strand waits for nothing of the loop. */
function waitsOutside(strand: Strand): boolean {
  const leaves = leavesOf(strand);
  if (leaves.length === 0) return strand._bodies > 0;
  return leaves.some((leaf) => leaf._branch !== null && waitsOutside(leaf._branch));
}

/** Input, output and executors of a loop. Their results come from outside, and nothing would record them. */
const REFUSED: Readonly<Record<string, string>> = {
  createServer: "createServer()",
  createConnection: "createConnection()",
  createDatagramEndpoint: "createDatagramEndpoint()",
  createSubprocess: "createSubprocess()",
  startTls: "startTls()",
  connectReadPipe: "connectReadPipe()",
  connectWritePipe: "connectWritePipe()",
  addSignalHandler: "addSignalHandler()",
  runInExecutor: "runInExecutor()",
  // `toThread` asks for it first, before it starts any thread.
  getDefaultExecutor: "a call on a thread",
  setDefaultExecutor: "an executor",
};

for (const [method, work] of Object.entries(REFUSED)) {
  Object.defineProperty(DurableLoop.prototype, method, {
    value(this: DurableLoop): never {
      throw this._refusal(work);
    },
  });
}
