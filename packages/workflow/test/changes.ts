import { createTask, Event, gather, sleep, timeout, wait } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import {
  continueAs,
  defineSignal,
  defineUpdate,
  defineView,
  defineWorkflow,
  onUpdate,
  patched,
  random,
  step,
  submit,
  undoing,
} from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import type { ExploreCrashesOptions } from "@taskloom/workflow/testing";

export const a = defineTask({ name: "a" }, (n: number) => n + 1);
const a2 = defineTask({ name: "a", version: 2 }, (n: number) => n + 1);
export const b = defineTask({ name: "b" }, (n: number) => n + 2);
export const fails = defineTask({ name: "fails" }, (): number => {
  throw new Error("fails");
});
const knocked = defineSignal<number>("knocked");
export const asked = defineUpdate<[n: number], number>("asked");
export const shown = defineView<number>("shown");

export type Body = () => Generator<unknown, unknown, unknown>;
export const next = defineWorkflow({ name: "next" }, function* (_n: number) {
  yield* sleep(1);
});
export const other = defineWorkflow({ name: "other" }, function* (_n: number) {
  yield* sleep(1);
});

export const workflow = (body: Body): WorkflowDefinition<[]> => defineWorkflow({ name: "order" }, body);

/** Races two sleeps with a step each, and cancels the loser. */
function* race(first: number, second: number): Generator<never, number, unknown> {
  const tasks = [first, second].map((ms, i) =>
    createTask(function* () {
      yield* sleep(ms);
      return yield* step(a, i);
    }),
  );
  yield* wait(tasks, { returnWhen: "FIRST_COMPLETED" });
  for (const task of tasks) task.cancel();
  yield* gather(tasks, { returnExceptions: true });
  return 1;
}

export function* twice(first: typeof a, second: typeof a, last = 3): Generator<never, number, unknown> {
  const one = yield* step(first, 1);
  yield* sleep(1000);
  return (yield* step(second, one)) + last;
}

/** A change of a workflow's code, which a replay of a history of the old code finds. */
export interface Change {
  readonly change: string;
  readonly old: Body;
  readonly code: Body;
  readonly says: readonly RegExp[];
  readonly send?: ExploreCrashesOptions["send"];
}

const ARGUMENTS = /Likely: the arguments differ: it read something unrecorded/;
const ADDED = /Likely: the code asks for more than it did/;
const REMOVED = /Likely: a part was removed, or comes later/;
const ORDER = /Likely: the order of concurrent commands changed/;
const OTHER_TASK = /Likely: another task is called/;
const EXCHANGED = /Likely: step\(\) and submit\(\) were exchanged/;
const GOES_ON = /Likely: the run ended here, and the code goes on/;
const ENDS_EARLY = /Likely: the code ends before its history does/;
const ENDS_OTHERWISE = /Likely: the run ends otherwise/;
const CANCELS = /Likely: another branch is cancelled/;
const VALUE = /Likely: its value differs/;
const PATCH = /Likely: a call of patched\("new"\) was removed or moved/;

export const changes: readonly Change[] = [
  {
    change: "another task in a step",
    old: () => twice(a, a),
    code: () => twice(a, b),
    says: [
      /history: step 2 = a@1\(2\)/,
      /code: step 2 = b@1\(2\) at changes\.ts:\d+ in order > /,
      OTHER_TASK,
    ],
  },
  {
    change: "another first step",
    old: () => twice(a, a),
    code: () => twice(b, a),
    says: [/at tick 0 /, OTHER_TASK],
  },
  {
    change: "other arguments",
    old: () => twice(a, a),
    code: function* () {
      yield* step(a, 7);
    },
    says: [/history: step 1 = a@1\(1\)/, /code: step 1 = a@1\(7\)/, ARGUMENTS],
  },
  {
    change: "long arguments that differ at their end",
    old: function* () {
      yield* step(b, `${"x".repeat(500)}1` as never);
    },
    code: function* () {
      yield* step(b, `${"x".repeat(500)}2` as never);
    },
    says: [/history: step 1 = b@1\(h:[\da-f]{16}/, ARGUMENTS],
  },
  {
    change: "another version of a task",
    old: () => twice(a, a),
    code: () => twice(a, a2),
    says: [/a@2\(2\)/, /Likely: the version of task a changed from 1 to 2/],
  },
  {
    change: "a step became a job",
    old: function* () {
      yield* step(a, 1);
    },
    code: function* () {
      yield* submit(a, 1);
    },
    says: [/history: step 1 = a/, /code: job 1 = a/, EXCHANGED],
  },
  {
    change: "a job became a step",
    old: function* () {
      yield* submit(a, 1);
    },
    code: function* () {
      yield* step(a, 1);
    },
    says: [/history: job 1/, EXCHANGED],
  },
  {
    change: "a job became a child",
    old: function* () {
      yield* submit(a, 1);
    },
    code: function* () {
      yield* submit(next, 1);
    },
    says: [/code: child workflow 1 = next@1\(1\)/, OTHER_TASK],
  },
  {
    change: "a step in front",
    old: function* () {
      yield* step(a, 1);
    },
    code: function* () {
      yield* step(b, 0);
      yield* step(a, 1);
    },
    says: [/code: step 1 = b@1\(0\)/, OTHER_TASK],
  },
  {
    change: "one more step beside others",
    old: function* () {
      yield* gather([step(a, 1)]);
    },
    code: function* () {
      yield* gather([step(a, 1), step(b, 1)]);
    },
    says: [/history: nothing more in this tick/, /code: step 2 = b@1\(1\)/, ADDED],
  },
  {
    change: "one step fewer beside others",
    old: function* () {
      yield* gather([step(a, 1), step(b, 1)]);
    },
    code: function* () {
      yield* gather([step(a, 1)]);
    },
    says: [/history: step 2 = b/, /code: nothing more in this tick/, REMOVED],
  },
  {
    change: "steps side by side in another order",
    old: function* () {
      yield* gather([step(a, 1), step(b, 1)]);
    },
    code: function* () {
      yield* gather([step(b, 1), step(a, 1)]);
    },
    says: [ORDER],
  },
  {
    change: "one after the other instead of side by side",
    old: function* () {
      yield* gather([step(a, 1), step(b, 1)]);
    },
    code: function* () {
      yield* step(a, 1);
      yield* step(b, 1);
    },
    says: [REMOVED],
  },
  {
    change: "a step at the end",
    old: () => twice(a, a),
    code: function* () {
      yield* twice(a, a);
      yield* step(b, 1);
    },
    says: [/history: the end of the run: completed 6/, /code: step 3 = b/, GOES_ON],
  },
  {
    change: "no last step",
    old: () => twice(a, a),
    code: function* () {
      yield* step(a, 1);
      yield* sleep(1000);
    },
    says: [/history: step 2/, /code: the end of the run: completed/, ENDS_EARLY],
  },
  {
    change: "another result",
    old: () => twice(a, a, 3),
    code: () => twice(a, a, 4),
    says: [/completed 6/, /completed 7/, ENDS_OTHERWISE],
  },
  {
    change: "an error instead of a result",
    old: () => twice(a, a),
    code: function* () {
      yield* twice(a, a);
      throw new Error("no");
    },
    says: [/code: the end of the run: failed "Error": "no"/, ENDS_OTHERWISE],
  },
  {
    change: "an error that is caught now",
    old: function* () {
      yield* step(fails);
    },
    code: function* () {
      try {
        yield* step(fails);
      } catch {
        yield* step(a, 1);
      }
    },
    says: [/history: the end of the run: failed/, GOES_ON],
  },
  {
    change: "a longer sleep",
    old: () => twice(a, a),
    code: function* () {
      const one = yield* step(a, 1);
      yield* sleep(5000);
      return (yield* step(a, one)) + 3;
    },
    says: [/history: step 2/, /code: nothing more/, REMOVED],
  },
  {
    change: "a shorter sleep",
    old: function* () {
      yield* gather([sleep(1000), step(a, 1)]);
      yield* step(b, 1);
    },
    code: function* () {
      yield* gather([sleep(1), step(a, 1)]);
      yield* step(b, 1);
    },
    says: [/history: nothing more/, ADDED],
  },
  {
    change: "a time-out that comes later",
    old: function* () {
      yield* timeout(1, step(a, 1));
    },
    code: function* () {
      yield* timeout(50_000, step(a, 1));
    },
    says: [/history: the cancellation of command 1/, REMOVED],
  },
  {
    change: "a race that another branch wins",
    old: () => race(1, 1000),
    code: () => race(1000, 1),
    says: [/history: step 1 = a@1\(0\)/, ARGUMENTS],
  },
  {
    change: "a loser that is not cancelled in the same way",
    old: function* () {
      const task = createTask(step(a, 1));
      yield* sleep(0);
      yield* sleep(0);
      task.cancel();
      yield* gather([task], { returnExceptions: true });
    },
    code: function* () {
      const task = createTask(step(a, 1));
      yield* sleep(0);
      yield* sleep(0);
      shown.set(1);
      yield* gather([task], { returnExceptions: true });
    },
    says: [/history: the cancellation of command 1/, CANCELS],
  },
  {
    change: "no patched() any more",
    old: function* () {
      patched("new");
      yield* step(a, 1);
    },
    code: function* () {
      yield* step(a, 1);
    },
    says: [/history: patched\("new"\)/, PATCH],
  },
  {
    change: "another view's value",
    old: function* () {
      shown.set(1);
      yield* sleep(1);
    },
    code: function* () {
      shown.set(2);
      yield* sleep(1);
    },
    says: [/history: view shown = 1/, /code: view shown = 2/, VALUE],
  },
  {
    change: "no view",
    old: function* () {
      shown.set(1);
      yield* sleep(1);
    },
    code: function* () {
      yield* sleep(1);
    },
    says: [REMOVED],
  },
  {
    change: "another answer to an update",
    old: function* () {
      onUpdate(asked, function* (n: number) {
        return n;
      });
      yield* sleep(100);
    },
    code: function* () {
      onUpdate(asked, function* (n: number) {
        return n + 1;
      });
      yield* sleep(100);
    },
    send: [{ at: 10, update: asked, args: [1], id: "u" }],
    says: [/history: the answer to update u: 1/, VALUE],
  },
  {
    change: "a signal that is not received",
    old: function* () {
      yield* step(a, yield* knocked.receive());
    },
    code: function* () {
      yield* new Event().wait();
    },
    send: [{ at: 10, signal: knocked, payload: 5 }],
    says: [/Likely:/],
  },
  {
    change: "another signal's use",
    old: function* () {
      yield* step(a, yield* knocked.receive());
    },
    code: function* () {
      yield* step(a, (yield* knocked.receive()) * 2);
    },
    send: [{ at: 10, signal: knocked, payload: 5 }],
    says: [/a@1\(5\)/, /a@1\(10\)/, ARGUMENTS],
  },
  {
    change: "another history to continue as",
    old: function* () {
      yield* sleep(1);
      return continueAs(next, 1);
    },
    code: function* () {
      yield* sleep(1);
      return continueAs(other, 1);
    },
    says: [/history: continueAs\(next@1\)/, /code: continueAs\(other@1\)/, ENDS_OTHERWISE],
  },
  {
    change: "compensations in another order",
    old: function* () {
      yield* undoing(function* (undo) {
        undo(() => step(a, 1));
        undo(() => step(b, 1));
        yield* step(fails);
      });
    },
    code: function* () {
      yield* undoing(function* (undo) {
        undo(() => step(b, 1));
        undo(() => step(a, 1));
        yield* step(fails);
      });
    },
    says: [/history: step 2 = b/, /code: step 2 = a/, OTHER_TASK],
  },
  {
    change: "random numbers that are taken in another order",
    old: function* () {
      yield* step(a, random());
    },
    code: function* () {
      random();
      yield* step(a, random());
    },
    says: [ARGUMENTS],
  },
];
