import { appendFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** The argument of a job, whoever adds it. */
export interface Work {
  readonly key: string;
  readonly milliseconds: number;
  readonly fails: boolean;
}

/** The result of a job: its key, and the kind of the worker that ran it. */
export interface Done {
  readonly key: string;
  readonly by: "taskloom" | "bullmq";
}

/** Returns the message with which a job fails. */
export function failureOf(key: string): string {
  return `${key} fails`;
}

/** Runs a job, and records its start and its end in the ledger of the test. */
export async function work({ key, milliseconds, fails }: Work, by: Done["by"]): Promise<Done> {
  record("start", key);
  await delay(milliseconds);
  record("end", key);
  if (fails) throw new Error(failureOf(key));
  return { key, by };
}

/** Writes one line in one system call, so that lines of many processes never mix. */
function record(what: "start" | "end", key: string): void {
  appendFileSync(process.env["TASKLOOM_LEDGER"]!, `${what} ${key} ${process.pid} ${Date.now()}\n`);
}
