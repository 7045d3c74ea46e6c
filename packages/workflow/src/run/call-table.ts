import type { EventLoop } from "@taskloom/loop";
import type { TaskDefinition } from "@taskloom/queue";
import { encodeValue } from "@taskloom/queue/wire";
import { argumentsText } from "../journal/entry.ts";
import type { AttemptRecord, CommandRecord, EndRecord } from "../journal/entry.ts";
import { Call, CallFuture } from "./calls.ts";
import type { CallKind } from "./calls.ts";
import type { Effects } from "./effects.ts";
import type { StepOptions, ChildOptions } from "./host.ts";

/** The steps, jobs and children of a run that have not ended, in the order in which they were issued. */
export class CallTable {
  /** Made for the first call: many runs only wait for a signal or a time. */
  #calls: Map<number, Call> | null = null;
  readonly #runId: string;
  readonly #effects: Effects;
  readonly #note: (command: CommandRecord) => void;
  #issued = 0;
  /** Ends that the run itself has found, for the next tick. */
  #found: EndRecord[] = [];

  /** @param note receives each command, in the order of issue. */
  constructor(runId: string, effects: Effects, note: (command: CommandRecord) => void) {
    this.#runId = runId;
    this.#effects = effects;
    this.#note = note;
  }

  get size(): number {
    return this.#calls?.size ?? 0;
  }

  get found(): number {
    return this.#found.length;
  }

  /** The time of the earliest next attempt; undefined if no step waits for one. */
  get nextAttempt(): number | undefined {
    let earliest: number | undefined;
    for (const { phase, due, isCancelled } of this.#calls?.values() ?? []) {
      if (phase === "waiting" && !isCancelled && (earliest === undefined || due < earliest)) earliest = due;
    }
    return earliest;
  }

  /** Whether a call that has not begun may run once only. Its command has to be stored before. */
  get hasNewOnce(): boolean {
    for (const call of this.#calls?.values() ?? []) if (call.phase === "new" && call.isOnce) return true;
    return false;
  }

  /**
   * Issues a call for the coroutine.
   *
   * @throws WireError if an argument cannot be sent.
   */
  issue(
    loop: EventLoop,
    kind: CallKind,
    task: TaskDefinition,
    args: readonly unknown[],
    options: StepOptions & ChildOptions,
  ): CallFuture {
    const encoded = encodeValue(args, { name: `arguments of ${task.task.name}` });
    const command = ++this.#issued;
    const future = new CallFuture(loop, (message) => this.#requestCancel(command, message));
    const call = new Call(command, kind, task, encoded, loop.time(), options, future);
    (this.#calls ??= new Map()).set(command, call);
    this.#note([command, kind, task.task.name, task.task.version, argumentsText(encoded)]);
    this.#effects.add(() => this.#start(call));
    return future;
  }

  #start(call: Call): void {
    // An end may have come meanwhile, or the coroutine may have cancelled the call before it could start.
    if (call.phase === "running" || this.#calls?.get(call.command) !== call) return;
    if (call.isCancelled) return;
    call.phase = "running";
    if (call.kind === "s") this.#effects.host.startStep(call.stepStart(this.#runId));
    else this.#effects.host.submit(call.jobStart(this.#runId));
  }

  #requestCancel(command: number, message: string | undefined): void {
    const call = this.#calls?.get(command);
    if (call === undefined || call.isCancelled) return;
    call.isCancelled = true;
    call.message = message;
    this.#note(["c", command]);
    if (this.#effects.isReplaying) return;
    if (call.phase === "running") this.#effects.add(() => this.#effects.host.cancel(command, message));
    else this.#found.push(call.cancelledEnd());
  }

  /** Returns the ends that the run has found by itself. */
  takeFound(): EndRecord[] {
    if (this.#found.length === 0) return [];
    const found = this.#found.toSorted((a, b) => a[0] - b[0]);
    this.#found = [];
    return found;
  }

  /** Returns the record of an end, or null if the call has ended already. */
  admit(end: EndRecord, now: number): EndRecord | AttemptRecord | null {
    return this.#calls?.get(end[0])?.admit(end, now, this.#runId) ?? null;
  }

  /** Settles the future of a call with its end. */
  settle(end: EndRecord): void {
    const call = this.#calls?.get(end[0]);
    if (call === undefined) return;
    this.#calls?.delete(end[0]);
    call.settle(end);
  }

  /** Notes a failed attempt that another one follows. */
  attemptFailed([command, , attempt, due]: AttemptRecord): void {
    const call = this.#calls?.get(command);
    if (call === undefined) return;
    call.attempt = attempt + 1;
    call.due = due;
    call.phase = "waiting";
    // The cancel came in the same tick, before this note: the host has nothing left to cancel.
    if (call.isCancelled && !this.#effects.isReplaying) this.#found.push(call.cancelledEnd());
  }

  /** Begins the attempts that are due. */
  startDue(now: number): void {
    for (const call of this.#calls?.values() ?? []) {
      if (call.phase !== "waiting" || call.due > now || call.isCancelled) continue;
      call.phase = "new";
      this.#effects.add(() => this.#start(call));
    }
  }

  /** Takes up the calls of a replayed history that have no end. */
  takeUp(now: number): void {
    for (const call of this.#calls?.values() ?? []) {
      if (call.isCancelled && call.kind === "s") {
        // The step died with its worker, and is not run again.
        this.#found.push(call.cancelledEnd());
      } else if (call.isCancelled) {
        // The job is elsewhere, or was never added. Both calls change nothing if they were made before, and the end
        // comes as that of any job: a scope does not end before its body.
        call.phase = "running";
        this.#effects.add(() => {
          this.#effects.host.submit(call.jobStart(this.#runId));
          this.#effects.host.cancel(call.command, call.message);
        });
      } else if (call.isOnce) {
        this.#found.push(call.interruptedEnd());
      } else if (call.phase !== "waiting" || call.due <= now) {
        call.phase = "new";
        this.#effects.add(() => this.#start(call));
      }
    }
  }

  /** Cancels the work of a run that has ended, or that another worker has taken. */
  abandon(message: string): void {
    for (const call of this.#calls?.values() ?? []) {
      if (call.phase === "running") this.#effects.host.cancel(call.command, message);
    }
    this.#calls?.clear();
    this.#found = [];
  }
}
