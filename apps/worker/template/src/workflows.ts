// A durable workflow: it goes on at its last stored step after a crash, a deploy, or a week.
import { sleep } from "@taskloom/loop";
import { defineWorkflow, step } from "@taskloom/workflow";
import { sendMail } from "./tasks.ts";

const WEEK_MS = 7 * 86_400_000;

export const welcome = defineWorkflow({ name: "welcome" }, function* (to: string) {
  const first = yield* step(sendMail, to, "Welcome");
  yield* sleep(WEEK_MS); // the run has no memory in any process meanwhile
  const second = yield* step(sendMail, to, "How is it going?");
  return [first, second];
});
