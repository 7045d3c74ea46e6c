import { defineTask } from "@taskloom/queue";
import { defineWorkflow, submit } from "@taskloom/workflow";

/** A job that ends with the time of its end. */
export const child = defineTask({ name: "child-end.child" }, async () => Date.now());

/** A run that is parked while its job runs elsewhere, and returns how long the end of the job took to wake it. */
export const parent = defineWorkflow({ name: "child-end.parent", residentFor: 0 }, function* (queue: string) {
  const endedAt = yield* submit.with({ queue })(child);
  return Date.now() - endedAt;
});

export const childTasks = [child];
