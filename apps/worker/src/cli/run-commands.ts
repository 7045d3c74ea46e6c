import { isWorkflowDefinition } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { checkRuns, treeOfLog } from "@taskloom/workflow/operating";
import type {
  HistoryCommand,
  HistoryDelivery,
  HistoryTick,
  RunSnapshot,
  RunState,
  RunTask,
} from "@taskloom/workflow/operating";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { ServiceError } from "../errors/service-error.ts";
import { allFrom, pagesFrom } from "../operations/all-pages.ts";
import type { RunOperations, RunView } from "../operations/run-operations.ts";
import { duration } from "../terminal/duration.ts";
import { Styled, err, out, printJson } from "../terminal/output.ts";
import type { Part } from "../terminal/output.ts";
import { tableText } from "../terminal/table.ts";
import { errorText } from "../terminal/user-stack.ts";
import { formatForest } from "../workers/task-tree.ts";
import type { TaskNode } from "../workers/task-tree.ts";
import { importModule } from "./import-module.ts";
import { parseArgument } from "./job-commands.ts";
import { brief, stateText, valueText } from "./job-text.ts";
import { withOperations } from "./open-operations.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { showView } from "./shown-view.ts";
import type { WatchFlags } from "./shown-view.ts";

/** The flags of `taskloom runs`. */
export interface RunsFlags extends WatchFlags {
  readonly name?: string;
  readonly state?: RunState;
  readonly tag?: string;
  /** Seconds before now. */
  readonly since?: number;
  readonly limit: number;
}

/** Runs `taskloom runs list [TEXT]`. */
export async function runsCommand(text: string | undefined, flags: RunsFlags): Promise<number> {
  return await showView(flags, "taskloom runs", async ({ operations, queue }) => {
    const { name, state, tag, since, limit } = flags;
    const { runs, searched, next } = await operations.runs.list({
      limit,
      ...(queue === undefined ? {} : { queue }),
      ...(name === undefined ? {} : { name }),
      ...(state === undefined ? {} : { state }),
      ...(tag === undefined ? {} : { tag }),
      ...(since === undefined ? {} : { since: Date.now() - since * 1_000 }),
      ...(text === undefined ? {} : { text }),
    });
    const isMore = next !== undefined && flags.json !== true;
    return {
      json: runs,
      text: () => runsText(runs),
      notes: isMore
        ? [`${searched} runs were read, and there are more; narrow the search, or raise --limit`]
        : [],
    };
  });
}

function runsText(runs: readonly RunView[]): string {
  if (runs.length === 0) return "no runs found";
  return tableText(
    ["run", "workflow", "state", "ticks", "unread", "tags", "for", "next"],
    runs.map((run) => [
      run.id,
      `${run.task}@${run.version ?? 1}`,
      stateText(run.state),
      run.length,
      run.unread,
      (run.tags ?? []).join(" "),
      duration(Math.max(0, (run.finishedAt ?? Date.now()) - run.submittedAt)),
      run.dueAt === undefined ? "" : `in ${duration(Math.max(0, run.dueAt - Date.now()))}`,
    ]),
  );
}

/** Runs `taskloom runs show ID`. */
export async function showRunCommand(id: string, flags: OperatorFlags): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    const run = await operations.runs.show(id, queue);
    if (flags.json === true) printJson(run);
    else printRun(run);
    return EXIT_CODES.ok;
  });
}

function printRun(run: RunView): void {
  const lines: [string, Part][] = [
    ["run", run.id],
    ["workflow", `${run.task}@${run.version ?? 1}(${run.args.map((arg) => brief(arg, 200)).join(", ")})`],
    ["queue", run.queue],
    ["state", stateText(run.state)],
    ["submitted", new Date(run.submittedAt).toLocaleString()],
    ...(run.dueAt === undefined ? [] : [["next", new Date(run.dueAt).toLocaleString()] as [string, Part]]),
    ["history", `${run.length} ticks, ${run.generation} earlier histories`],
    ["unread", String(run.unread)],
    ["deaths", String(run.deaths)],
  ];
  if (run.tags !== undefined) lines.push(["tags", run.tags.join(" ")]);
  if (run.value !== undefined) lines.push(["value", valueText(run.value)]);
  if (run.reason !== undefined) lines.push(["reason", run.reason]);
  if (run.error !== undefined) lines.push(["error", errorText(run.error)]);
  for (const [name, text] of lines) out(`${name}:`.padEnd(11), text);
}

/** Runs `taskloom runs history ID`. */
export async function runHistoryCommand(id: string, flags: OperatorFlags): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    const ticks = await allFrom((from) => operations.runs.history(id, from, queue));
    if (flags.json === true) printJson(ticks);
    else for (const tick of ticks) printTick(tick);
    return EXIT_CODES.ok;
  });
}

function printTick({ n, time, deliveries, commands }: HistoryTick): void {
  out(new Styled("bold", `${n}`), `  ${new Date(time).toISOString()}`);
  for (const delivery of deliveries) out(`   in   ${deliveryText(delivery)}`);
  for (const command of commands) out(`   out  ${commandText(command)}`);
}

function deliveryText(delivery: HistoryDelivery): string {
  switch (delivery.kind) {
    case "end":
      return `end of ${delivery.command}: ${delivery.state} ${brief(delivery.value, 100)}`;
    case "attempt":
      return `attempt ${delivery.attempt} of ${delivery.command} failed, next at ${new Date(delivery.due).toISOString()}`;
    case "signal":
      return `signal ${delivery.name} ${brief(delivery.payload, 100)}`;
    case "update":
      return `update ${delivery.name} ${brief(delivery.args, 100)}`;
    case "cancel":
      return `cancel ${delivery.message}`;
  }
}

function commandText(command: HistoryCommand): string {
  switch (command.kind) {
    case "step":
    case "job":
    case "child":
      return `${command.kind} ${command.command} = ${command.name}@${command.version} ${command.args.slice(0, 100)}`;
    case "cancel":
      return `cancel of ${command.command}`;
    case "patch":
      return `patch ${command.name}`;
    case "view":
      return `view ${command.name} = ${brief(command.value, 100)}`;
    case "answer":
      return `answer to ${command.update}: ${command.state} ${brief(command.value, 100)}`;
    case "continue":
      return `continues as ${command.name}@${command.version}`;
    case "end":
      return `end: ${command.state} ${command.value.slice(0, 100)}`;
  }
}

/** Returns the log of a run, page after page. */
function logOf(
  runs: RunOperations,
  { id, queue }: Pick<RunView, "id" | "queue">,
): AsyncGenerator<readonly string[], void> {
  return pagesFrom((from) => runs.log(id, from, queue));
}

/** @throws {@link CliFailure} with the code `MODULE` if no module exports a workflow. */
async function workflowsOf(modules: readonly string[]): Promise<WorkflowDefinition[]> {
  const loaded = await Promise.all(modules.map(importModule));
  const workflows = loaded.flatMap((module) => Object.values(module).filter(isWorkflowDefinition));
  if (workflows.length > 0) return workflows;
  throw new CliFailure(
    "MODULE",
    `${modules.join(", ")} exports no workflow; name a module that exports one made by defineWorkflow`,
  );
}

/** Runs `taskloom runs tree ID MODULE…`, which replays the run here without effects. */
export async function runTreeCommand(
  id: string,
  modules: readonly string[],
  flags: OperatorFlags,
): Promise<number> {
  const workflows = await workflowsOf(modules);
  return await withOperations(flags, async ({ operations, queue }) => {
    const run = await operations.runs.show(id, queue);
    const tree = await treeOfLog(run, workflows, logOf(operations.runs, run));
    if (flags.json === true) {
      printJson(tree);
      return EXIT_CODES.ok;
    }
    const roots = tree.roots.map(nodeOf);
    for (const line of formatForest(
      { roots, total: roots.reduce((sum, node) => sum + count(node), 0) },
      () => undefined,
    ))
      out(line);
    for (const { command, kind, name } of tree.pending) out(`${kind} ${command} = ${name} has not ended`);
    if (tree.wakeAt !== undefined) out(`goes on by itself at ${new Date(tree.wakeAt).toISOString()}`);
    return EXIT_CODES.ok;
  });
}

function nodeOf({ children, ...task }: RunTask): TaskNode {
  return { ...task, state: "pending", since: undefined, children: children.map(nodeOf) };
}

function count({ children }: TaskNode): number {
  return children.reduce((sum, child) => sum + count(child), 1);
}

/** Runs `taskloom runs signal ID NAME [JSON]`. */
export async function signalCommand(
  id: string,
  name: string,
  payload: string | undefined,
  flags: OperatorFlags & { readonly key?: string },
): Promise<number> {
  const value = payload === undefined ? undefined : parseArgument(payload);
  return await changed(flags, `signal ${name} is stored`, (runs, queue) =>
    runs.signal(id, name, value, queue, flags.key),
  );
}

/** Runs `taskloom runs cancel ID` and `taskloom runs terminate ID`. */
export async function endRunCommand(
  action: "cancel" | "terminate",
  id: string,
  flags: OperatorFlags & { readonly reason?: string },
): Promise<number> {
  const done =
    action === "cancel" ? "cancellation is requested; the run cleans up and ends" : "the run has ended";
  return await changed(flags, done, (runs, queue) => runs[action](id, flags.reason ?? "", queue));
}

async function changed(
  flags: OperatorFlags,
  done: string,
  change: (runs: RunOperations, queue: string | undefined) => Promise<void>,
): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    await change(operations.runs, queue);
    if (flags.json === true) printJson({ done: true });
    else out(done);
    return EXIT_CODES.ok;
  });
}

/** The seconds for which an update waits for its answer. */
const UPDATE_WAIT_SECONDS = 30;

/** Runs `taskloom runs update ID NAME [JSON…]`. */
export async function updateCommand(
  id: string,
  name: string,
  words: readonly string[],
  flags: OperatorFlags & { readonly timeout?: number },
): Promise<number> {
  const args = words.map(parseArgument);
  const wait = (flags.timeout ?? UPDATE_WAIT_SECONDS) * 1_000;
  return await withOperations(flags, async ({ operations, queue }) => {
    const answer = await operations.runs.update(id, name, args, wait, queue);
    if (flags.json === true) printJson(answer);
    else if (answer.state === "completed") out(valueText(answer.value));
    else if (answer.state === "failed")
      err(`taskloom: The update failed: ${answer.error.name}: ${answer.error.message}`);
    else
      err(
        `taskloom: Run ${id} has not answered in ${wait / 1_000} s; raise --timeout, or see taskloom runs show ${id}`,
      );
    if (answer.state === "completed") return EXIT_CODES.ok;
    return answer.state === "failed" ? EXIT_CODES.jobFailed : EXIT_CODES.jobPending;
  });
}

/** Runs `taskloom replay MODULE…`. The exit code is 1 if a history diverges, and 3 if runs have no workflow in the modules. */
export async function replayCommand(modules: readonly string[], flags: OperatorFlags): Promise<number> {
  const workflows = await workflowsOf(modules);
  return await withOperations(flags, async ({ operations, queue }) => {
    const { runs } = operations;
    const source = {
      runs: async (query: object) =>
        (await runs.list({ ...query, ...(queue === undefined ? {} : { queue }) })) as {
          runs: RunSnapshot[];
          searched: number;
        },
      run: async (id: string, of: string): Promise<RunSnapshot | undefined> => {
        try {
          return await runs.show(id, of);
        } catch (error) {
          if (error instanceof ServiceError && error.status === 404) return undefined;
          throw error;
        }
      },
      log: (run: RunSnapshot) => logOf(runs, run),
    };
    const { checked, unchecked, diverged } = await checkRuns(source, workflows);
    const missing = Object.entries(unchecked);
    if (flags.json === true) {
      const shown = diverged.map(({ error, ...run }) => ({
        ...run,
        code: error.code,
        tick: error.tick,
        message: error.message,
      }));
      printJson({ checked, unchecked, diverged: shown });
    } else {
      for (const { error } of diverged) err(error.message);
      for (const [name, number] of missing)
        err(`taskloom: ${number} runs of ${name} are alive, and the modules do not have it`);
      out(`${checked} histories checked, ${diverged.length} diverge`);
    }
    if (diverged.length > 0) return EXIT_CODES.failure;
    return missing.length > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
  });
}
