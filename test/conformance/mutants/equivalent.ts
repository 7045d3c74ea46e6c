/**
 * Mutants that no test can tell from the original, each with the reason. An entry is found by the text of its
 * line before and after the change, so other edits of a file do not matter.
 */
export interface Equivalents {
  readonly reason: string;
  /** The file below packages/loop/src, the original line, and the line of the mutant. */
  readonly mutants: readonly (readonly [file: string, before: string, after: string])[];
}

export const equivalents: readonly Equivalents[] = [
  {
    reason: "After a shutdown no item is added: join and taskDone treat zero and negative counts alike.",
    mutants: [
      [
        "sync/queue.ts",
        "if (this.#unfinished > 0) this.#unfinished--;",
        "if (this.#unfinished >= 0) this.#unfinished--;",
      ],
      ["sync/queue.ts", "if (this.#unfinished > 0) this.#unfinished--;", "if (true) this.#unfinished--;"],
    ],
  },
  {
    reason: "Only descriptions read the value: inspect() may show another word.",
    mutants: [
      ["task/step.ts", "strand._phase = RUNNING;", ";"],
      ["task/step.ts", "strand._phase = YIELDING;", ";"],
      ["task/step.ts", "frame._fail();", ";"],
      ["task/coroutine.ts", "this.#phase = THREW;", ";"],
      ["task/task.ts", "this._frame = coro;", ";"],
      ["task/branch.ts", "return this._waiter;", "return undefined;"],
      ["task/native-await.ts", "return this.#future;", "return undefined;"],
      ["task/native-await.ts", "return this.#strand;", "return undefined;"],
    ],
  },
  {
    reason: "The stale value is overwritten before it is read.",
    mutants: [
      ["task/step.ts", "strand._thrown = undefined;", ";"],
      [
        "task/native-body.ts",
        "if (isAwaited) strand._phase = RETURNING;",
        "if (true) strand._phase = RETURNING;",
      ],
      ["task/step.ts", "machine.called = null;", ";"],
      ["task/step.ts", "value = undefined;", ";"],
      ["task/step.ts", "frame._outer = null;", ";"],
      ["task/step.ts", "frame._outerGen = null;", ";"],
      ["task/task-list.ts", "task._previous = task._next = null;", ";"],
    ],
  },
  {
    reason:
      "If the group has cancelled its parent, there is an error, and errors take precedence over a cancellation.",
    mutants: [
      [
        "waiting/task-group.ts",
        "if (this.#isParentCancelRequested && strand._withdraw() === 0) cancellation = undefined;",
        "if (this.#isParentCancelRequested && strand._withdraw() !== 0) cancellation = undefined;",
      ],
    ],
  },
  {
    reason: "The step is done twice, once early and once for certain; each is sufficient.",
    mutants: [["waiting/wait.ts", "timer?.cancel();", ";"]],
  },
  {
    reason: "The line only frees memory: the remaining entries are done, and all readers skip done entries.",
    mutants: [
      ["sync/condition.ts", "this.#waiters.delete(waiter);", ";"],
      ["sync/event.ts", "this.#waiters.delete(waiter);", ";"],
      ["sync/queue.ts", "this.#waiters.delete(waiter);", ";"],
      ["sync/queue.ts", "this.#waiter = null;", ";"],
      ["kernel/ring-buffer.ts", "ring[(this.#head + this.#size) & mask] = undefined;", ";"],
      [
        "kernel/ring-buffer.ts",
        "ring[(this.#head + this.#size) & mask] = undefined;",
        "ring[(this.#head - this.#size) & mask] = undefined;",
      ],
      ["kernel/ring-buffer.ts", "this.#ring[head] = undefined;", ";"],
      ["task/coroutine.ts", "this.#value = undefined;", ";"],
      ["waiting/as-completed.ts", "this.#todo.clear();", ";"],
      ["task/task.ts", "this._gen = null;", ";"],
      ["task/branch.ts", "this._gen = this._frame = null;", ";"],
      ["task/task.ts", "this._frame = null;", ";"],
      ["task/task.ts", "this._context = null;", ";"],
      ["kernel/timer-heap.ts", "timer._sequence = 0;", ";"],
      [
        "kernel/ring-buffer.ts",
        "if (ring[(this.#head + i) & mask] !== item) continue;",
        "if (true) continue;",
      ],
      ["waiting/timeout.ts", "strand._scope = this._outer;", ";"],
    ],
  },
  {
    reason: "The loop is closed, and accepts and runs no callback any more.",
    mutants: [
      ["kernel/ring-buffer.ts", "this.#ring = NOTHING;", ";"],
      ["kernel/ring-buffer.ts", "this.#mask = -1;", ";"],
      ["kernel/scheduler.ts", "this.#todo = 0;", ";"],
      ["kernel/timer-heap.ts", "this.#keys = NONE;", ";"],
      ["kernel/timer-heap.ts", "this.#timers = [];", ";"],
      ["event-loop/event-loop.ts", "this.#executor = null;", ";"],
      ["event-loop/event-loop.ts", "hooks!.delete(hook);", ";"],
    ],
  },
  {
    reason:
      "Only a branch's own scopes send it requests; they withdraw them before it ends and read no answer.",
    mutants: [
      [
        "task/branch.ts",
        "if (this._phase === ENDED) return false;",
        "if (this._phase === ENDED) return true;",
      ],
      ["task/branch.ts", "if (this._phase === ENDED) return false;", "if (false) return false;"],
      [
        "task/branch.ts",
        "if (deliver(this, message)) return true;",
        "if (deliver(this, message)) return false;",
      ],
      ["task/branch.ts", "return true;", "return false;"],
    ],
  },
  {
    reason: "The value that wakes a waiter is never read.",
    mutants: [
      ["sync/condition.ts", "waiter.setResult(false);", "waiter.setResult(true);"],
      ["sync/semaphore.ts", "waiter.setResult(true);", "waiter.setResult(false);"],
      [
        "sync/event.ts",
        "for (const waiter of this.#waiters) if (!waiter.done()) waiter.setResult(true);",
        "for (const waiter of this.#waiters) if (!waiter.done()) waiter.setResult(false);",
      ],
      [
        "sync/lock.ts",
        "if (first !== undefined && !first.done()) first.setResult(true);",
        "if (first !== undefined && !first.done()) first.setResult(false);",
      ],
      [
        "waiting/task-group.ts",
        "if (completed !== null && this.#tasks.size === 0 && !completed.done()) completed.setResult(true);",
        "if (completed !== null && this.#tasks.size === 0 && !completed.done()) completed.setResult(false);",
      ],
    ],
  },
  {
    reason: "Sequence numbers are unique: they are never equal.",
    mutants: [
      [
        "kernel/timer-heap.ts",
        "return x < y || (x === y && this.#timers[a]!._sequence < this.#timers[b]!._sequence);",
        "return x < y || (x === y && this.#timers[a]!._sequence <= this.#timers[b]!._sequence);",
      ],
      [
        "kernel/timer-heap.ts",
        "if (key > when || (key === when && timers[child]!._sequence > timer._sequence)) break;",
        "if (key > when || (key === when && timers[child]!._sequence >= timer._sequence)) break;",
      ],
    ],
  },
  {
    reason: "The line is a shortcut: without it, the same result takes longer.",
    mutants: [
      ["kernel/timer-heap.ts", "if (this.#cancelled === 0) return;", "if (false) return;"],
      ["kernel/scheduler.ts", "if (timers.size > 0) {", "if (timers.size >= 0) {"],
      ["kernel/scheduler.ts", "if (timers.size > 0) {", "if (true) {"],
      ["kernel/timer-heap.ts", "timers.push(timer);", ";"],
      ["kernel/scheduler.ts", "this.#now = clock.now();", ";"],
      [
        "kernel/ring-buffer.ts",
        "if (this.#size > this.#mask) this.#grow();",
        "if (this.#size >= this.#mask) this.#grow();",
      ],
      [
        "kernel/scheduler.ts",
        "if (timers.size > 0) this.#now = this._clock.now();",
        "if (timers.size >= 0) this.#now = this._clock.now();",
      ],
      ["event-loop/event-loop.ts", "if (this.#isClosed) return;", "if (false) return;"],
      [
        "kernel/ring-buffer.ts",
        "for (let i = count - 1; i > 0; i--) {",
        "for (let i = count - 1; i >= 0; i--) {",
      ],
      [
        "kernel/ring-buffer.ts",
        "for (let i = 0; i < old.length; i++) ring[i] = old[(this.#head + i) & this.#mask];",
        "for (let i = 0; i <= old.length; i++) ring[i] = old[(this.#head + i) & this.#mask];",
      ],
      ["sync/event.ts", "if (this.#isSet) return;", "if (false) return;"],
      [
        "sync/queue.ts",
        "if (this.#unfinished > 0) yield* this.#finished.wait();",
        "if (this.#unfinished >= 0) yield* this.#finished.wait();",
      ],
      ["sync/binary-heap.ts", "items[0] = last;", ";"],
    ],
  },
  {
    reason: "The other branch, or the following code, returns the same for the only case that changes sides.",
    mutants: [
      [
        "task/current.ts",
        "if (when !== null && (earliest === undefined || when < earliest)) earliest = when;",
        "if (when !== null && (earliest === undefined || when <= earliest)) earliest = when;",
      ],
      ["waiting/gather.ts", "if (child._state === CANCELLED) {", "if (false) {"],
      [
        "waiting/task-group.ts",
        "if (strand._requests() > 0) strand._recancel();",
        "if (strand._requests() >= 0) strand._recancel();",
      ],
      [
        "sync/binary-heap.ts",
        "if (!(this.#compare(item, above) < 0)) break;",
        "if (!(this.#compare(item, above) <= 0)) break;",
      ],
      [
        "sync/queue.ts",
        "for (let i = 0; i < a.length && i < b.length; i++) {",
        "for (let i = 0; i <= a.length && i < b.length; i++) {",
      ],
      [
        "sync/queue.ts",
        "for (let i = 0; i < a.length && i < b.length; i++) {",
        "for (let i = 0; i < a.length && i <= b.length; i++) {",
      ],
      [
        "sync/queue.ts",
        "for (let i = 0; i < a.length && i < b.length; i++) {",
        "for (let i = 0; i < a.length || i < b.length; i++) {",
      ],
      ["task/task.ts", "return null;", "return undefined;"],
      [
        "task/open.ts",
        "return isGenerator(value) || value instanceof FutureCore || value instanceof Operation || isThenable(value);",
        "return isGenerator(value) || value instanceof FutureCore && value instanceof Operation || isThenable(value);",
      ],
      [
        "kernel/ring-buffer.ts",
        "for (let j = i; j < this.#size - 1; j++) {",
        "for (let j = i; j <= this.#size - 1; j++) {",
      ],
    ],
  },
  {
    reason: "The general code returns the same as the code for this kind.",
    mutants: [
      ["task/native-await.ts", "return undefined as unknown as Promise<A | B>;", "return undefined;"],
      [
        "task/current-strand.ts",
        "while (strand !== null && strand._phase === ENDED) strand = strand._parent;",
        "while (false) strand = strand._parent;",
      ],
      // A branch without a request withdraws one of the requests around it.
      ["task/requests.ts", "if (_branch._cancels > 0) {", "if (_branch._cancels >= 0) {"],
      ["task/requests.ts", "if (_branch._cancels > 0) {", "if (true) {"],
      // A strand that is woken throws its request at its step as well.
      ["task/native-body.ts", "return true;", "return false;"],
      ["task/task.ts", "if (coro instanceof Coroutine) {", "if (false) {"],
      ["task/current.ts", 'if (typeof work !== "function" && !isAwaitable(work)) {', "if (false) {"],
      ["task/future-core.ts", "if (wakers === null) return 0;", "if (false) return 0;"],
      ["task/open.ts", "return Object.getPrototypeOf(fn) === GeneratorFunction;", "return undefined;"],
      ["task/open.ts", "return null;", "return undefined;"],
      ["task/coroutine.ts", "if (this.#phase !== CREATED) return;", "if (false) return;"],
    ],
  },
  {
    reason: "The case cannot happen: the inner future only receives a result or is cancelled.",
    mutants: [
      [
        "sync/condition.ts",
        "if (!(error instanceof CancelledError)) throw error;",
        "if (false) throw error;",
      ],
      [
        "waiting/task-group.ts",
        "if (!(thrown instanceof CancelledError)) throw thrown;",
        "if (false) throw thrown;",
      ],
      ["sync/queue.ts", "waiter.cancel(); // in case the waiter is not done yet", ";"],
    ],
  },
  {
    reason:
      "The item comes after the last item that can be taken: the count of remaining items equals the items not yet taken.",
    mutants: [
      [
        "waiting/as-completed.ts",
        "if (this.#todo.size === 0) return; // the timeout came first",
        "if (false) return;",
      ],
    ],
  },
  {
    reason: "A count of requests that is too high only makes awaits of done futures take the slower path.",
    mutants: [
      ["task/branch.ts", "dropRequest(this); // It is not counted any more.", ";"],
      ["task/requests.ts", "return nativeRequests > 0;", "return nativeRequests >= 0;"],
      ["task/requests.ts", "dropRequest(strand);", ";"],
      [
        "task/requests.ts",
        "if (strand._pending === NATIVE) nativeRequests++;",
        "if (true) nativeRequests++;",
      ],
      [
        "task/requests.ts",
        "if (strand._pending === NATIVE) nativeRequests--;",
        "if (strand._pending === NATIVE) nativeRequests++;",
      ],
      [
        "task/requests.ts",
        "if (strand._pending === NATIVE) nativeRequests--;",
        "if (false) nativeRequests--;",
      ],
    ],
  },
];
