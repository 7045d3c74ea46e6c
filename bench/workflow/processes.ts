import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { kill, told as message } from "../child-process.ts";
import type { Figures, Question } from "./protocol.ts";

/** The time in which a process must answer, in milliseconds. A peer can lose a run, and would then be awaited for ever. */
const ANSWER_LIMIT = 120_000;

const children = new Set<ChildProcess>();

/** Starts a process of the bench, without waiting for it. */
export function spawned(file: string, args: readonly string[]): ChildProcess {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    execArgv: ["--conditions=@taskloom/source", "--expose-gc", "--disable-warning=DeprecationWarning"],
    env: { ...process.env, RESTATE_LOGGING: "ERROR" },
  });
  child.setMaxListeners(0);
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

/** Waits until a process that was just started can answer. */
export async function started(child: ChildProcess): Promise<ChildProcess> {
  await told(child, "ready");
  return child;
}

/** Waits for a message with `key`, and returns its value. */
export function told(child: ChildProcess, key: string): Promise<unknown> {
  return message(child, key, ANSWER_LIMIT);
}

export async function ask<Name extends Question["name"]>(
  child: ChildProcess,
  question: Question & { readonly name: Name },
): Promise<Figures[Name]> {
  const answer = told(child, "answer");
  child.send(question);
  return (await answer) as Figures[Name];
}

export async function killAll(): Promise<void> {
  await Promise.all([...children].map(kill));
}
