import { currentJob, defineTask } from "@taskloom/queue";
import { work } from "./work.ts";
import type { Work } from "./work.ts";

export const side = defineTask({ name: "side.work" }, async (one: Work) => {
  await currentJob()?.log(`runs ${one.key}`);
  return await work(one, "taskloom");
});
