import type { TaskDefinition } from "@taskloom/queue";
import type { Json } from "@taskloom/queue/wire";

/** The value that a coroutine returns to continue as another history; `continueAs` makes it. */
export class Continuation {
  readonly task: TaskDefinition;
  readonly args: Json;

  constructor(task: TaskDefinition, args: Json) {
    this.task = task;
    this.args = args;
  }
}
