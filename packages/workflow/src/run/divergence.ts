import type { Task } from "@taskloom/loop";
import { ReplayDivergedError } from "../errors.ts";
import { ORDER } from "../journal/entry.ts";
import type { CallRecord, CommandRecord, Entry } from "../journal/entry.ts";

/** A command of the code, with the task that issued it. */
export interface Issued {
  readonly record: CommandRecord;
  readonly by: Task<unknown> | null;
}

/** The parts of a run that the message names. */
interface Replayed {
  readonly id: string;
  readonly workflow: { readonly task: { readonly name: string; readonly version: number } };
  readonly main: Task<unknown> | null;
}

/** Returns the error for a tick whose commands differ from the recorded ones. */
export function divergence(
  run: Replayed,
  tick: number,
  entry: Entry,
  issued: readonly Issued[],
): ReplayDivergedError {
  const code = issued.map(({ record }) => record);
  const history = entry.commands;
  let at = 0;
  while (at < code.length && at < history.length && same(code[at], history[at])) at++;
  const { name, version } = run.workflow.task;
  const by = issued[at]?.by ?? run.main;
  const when = new Date(entry.time).toISOString().replace("T", " ").slice(0, 19);
  return new ReplayDivergedError(
    `REPLAY_DIVERGED: run ${run.id} of ${name}@${version} does not follow its history at tick ${tick} (${when})\n` +
      `  history: ${describeCommand(history[at])}\n` +
      `  code: ${describeCommand(code[at])}${placeOf(by)}\n` +
      `  Likely: ${likelyCause(history, code, at)}`,
    tick,
    entry.time,
  );
}

/** Returns the error for a history that another order of the loop has recorded. */
export function unknownOrder(run: Replayed, order: number, time: number): ReplayDivergedError {
  const { name, version } = run.workflow.task;
  return new ReplayDivergedError(
    `REPLAY_DIVERGED: run ${run.id} of ${name}@${version} was recorded in order ${order} of the loop, and this release ` +
      `has order ${ORDER}: keep a worker of the release that recorded it until the run has ended`,
    0,
    time,
  );
}

function same(a: CommandRecord | undefined, b: CommandRecord | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Returns the line at which a task waits, and its coroutines. */
function placeOf(task: Task<unknown> | null): string {
  const stack = task?.getStack() ?? [];
  const names = stack.map((line) => /^at (?:async )?([^\s(]+)/.exec(line)?.[1] ?? line);
  const line = /([^/\\(\s]+:\d+):\d+\)?$/.exec(stack.at(-1) ?? "")?.[1];
  if (task === null || (line === undefined && names.length === 0)) return "";
  return `${line === undefined ? "" : ` at ${line}`} in ${[task.getName(), ...names].join(" > ")}`;
}

const KINDS = { s: "step", j: "job", w: "child workflow" } as const;

/** Returns a command as a line of code would write it. */
export function describeCommand(command: CommandRecord | undefined): string {
  if (command === undefined) return "nothing more in this tick";
  if (typeof command[0] === "number") {
    const [number, kind, name, version, args] = command;
    const shown = args.startsWith("h:") ? `${args.slice(0, 60)}…` : args.slice(1, -1);
    return `${KINDS[kind]} ${number} = ${name}@${version}(${shown})`;
  }
  switch (command[0]) {
    case "c":
      return `the cancellation of command ${command[1]}`;
    case "p":
      return `patched(${JSON.stringify(command[1])})`;
    case "v":
      return `view ${command[1]} = ${JSON.stringify(command[2])}`;
    case "u":
      return `the answer to update ${command[1]}: ${JSON.stringify(command[3]).slice(0, 200)}`;
    case "x":
      return `continueAs(${command[1]}@${command[2]})`;
    case "e":
      return `the end of the run: ${["completed", "failed", "cancelled"][command[1]]} ${command[2]}`;
  }
}

const UNRECORDED = "it read something unrecorded (Date, random, a global)";
const CHANGED = "the code changed without patched() or a new version";

function likelyCause(history: readonly CommandRecord[], code: readonly CommandRecord[], at: number): string {
  const recorded = history[at];
  const issued = code[at];
  const bare = (commands: readonly CommandRecord[]): string[] => commands.map(withoutNumber).toSorted();
  if (same(bare(history) as never, bare(code) as never)) {
    return `the order of concurrent commands changed: ${CHANGED}, or ${UNRECORDED}`;
  }
  if (recorded?.[0] === "p")
    return `a call of ${describeCommand(recorded)} was removed or moved: keep it until no run has it`;
  if (recorded === undefined) {
    return `the code asks for more than it did: ${CHANGED}; guard the new part by patched(), or ${UNRECORDED}`;
  }
  if (issued === undefined) {
    return `a part was removed, or comes later: ${CHANGED}, or a condition of it changed; or ${UNRECORDED}`;
  }
  if (recorded[0] === "e" || recorded[0] === "x") {
    if (issued[0] !== recorded[0]) return `the run ended here, and the code goes on: ${CHANGED}`;
    return `the run ends otherwise: ${UNRECORDED}, or ${CHANGED}`;
  }
  if (issued[0] === "e" || issued[0] === "x") return `the code ends before its history does: ${CHANGED}`;
  if (isCall(recorded) && isCall(issued)) {
    return likelyCauseOfCalls(recorded, issued);
  }
  if (recorded[0] === "c" || issued[0] === "c") {
    return `another branch is cancelled, or at another time: a scope, a time-out or a race changed (${CHANGED})`;
  }
  if (recorded[0] === issued[0]) return `its value differs: ${UNRECORDED}, or ${CHANGED}`;
  return `${CHANGED}, or ${UNRECORDED}`;
}

function isCall(command: CommandRecord): command is CallRecord {
  return typeof command[0] === "number";
}

function likelyCauseOfCalls(recorded: CallRecord, issued: CallRecord): string {
  const [, kind, name, version] = recorded;
  if (name !== issued[2])
    return `another task is called: ${CHANGED}; or a condition of it changed, since ${UNRECORDED}`;
  if (kind !== issued[1]) return `step() and submit() were exchanged: ${CHANGED}`;
  if (version !== issued[3]) {
    return `the version of task ${name} changed from ${version} to ${issued[3]}: keep the old one for the runs that have it, or use patched()`;
  }
  return `the arguments differ: ${UNRECORDED}, or ${CHANGED}`;
}

function withoutNumber(command: CommandRecord): string {
  return JSON.stringify(typeof command[0] === "number" ? command.slice(1) : command);
}
