// Tasks for the compose file to run; name a folder of your own in TASKLOOM_TASKS.
import { defineTask } from "@taskloom/queue";

export const greet = defineTask({ name: "example.greet" }, async (name: string) => `Hello, ${name}.`);

export const fibonacci = defineTask(
  { name: "example.fibonacci", module: import.meta.url, runsOn: "thread", attempts: 3 },
  function fibonacci(n: number): number {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
  },
);
