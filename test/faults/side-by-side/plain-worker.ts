import { writeSync } from "node:fs";
import { plainWorker } from "./plain-classes.ts";
import { work } from "./work.ts";
import type { Work } from "./work.ts";

/** The data of a job: that of BullMQ's client, or a submission of Taskloom, whose arguments are a list. */
type Data = Work | { readonly v: 1; readonly version: number; readonly args: readonly [Work] };

/** A process with a worker of BullMQ, as a user writes it. It prints `ready`, and continues until it is killed. */
const [, , url = "", concurrency = ""] = process.argv;
const worker = plainWorker(
  url,
  async ({ data }: { readonly data: Data }) => await work("args" in data ? data.args[0] : data, "bullmq"),
  Number(concurrency),
);
worker.on("error", (error) => writeSync(2, `${error.message}\n`)); // Such as a lock that was lost.
await worker.waitUntilReady();
writeSync(1, "ready\n");
