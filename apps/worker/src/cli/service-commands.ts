import { Option } from "commander";
import type { Command } from "commander";
import { SETTING_RULES } from "../config/settings.ts";
import type { JobView } from "../operations/operations.ts";
import { addQueueCommands, addScheduleCommands } from "./add-queue-commands.ts";
import { backoff, collect, seconds, whole } from "./flag-parsers.ts";
import type { SubmitFlags } from "./job-commands.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { examplesText, operator, watched } from "./operator-command.ts";
import type { Ended } from "./operator-command.ts";
import type { RunsFlags } from "./run-commands.ts";
import type { ShardsFlags } from "./shards-command.ts";
import type { WatchFlags } from "./shown-view.ts";

/**
 * Adds all commands but `demo`: those that begin a project or run a service, and those that operate an engine or a service. The code of a
 * command is loaded when the command runs, so that `taskloom submit` does not load a web server.
 */
export function addServiceCommands(taskloom: Command, ended: Ended): void {
  addInit(taskloom, ended);
  addWorker(taskloom, ended);
  addDoctor(taskloom, ended);
  addBackup(taskloom, ended);
  addShards(taskloom, ended);
  addSubmission(taskloom, ended);
  addJobs(taskloom, ended);
  addFailures(taskloom, ended);
  addRuns(taskloom, ended);
  addWorkers(taskloom, ended);
  addQueueCommands(taskloom, ended);
  addScheduleCommands(taskloom, ended);
}

function addInit(taskloom: Command, ended: Ended): void {
  taskloom
    .command("init")
    .description("Writes a new project: a web server, a worker, a task on each lane, a schedule and a test.")
    .argument("[directory]", "the folder of the project", ".")
    .addHelpText("after", "\nExample:\n  taskloom init my-app && cd my-app && npm install && npm start")
    .action(async (directory: string) => {
      const { initCommand } = await import("./init-command.ts");
      ended(await initCommand(directory));
    });
}

function addWorker(taskloom: Command, ended: Ended): void {
  const worker = taskloom
    .command("worker")
    .description("Runs the tasks that modules export until a signal stops it.")
    .argument("[modules...]", "modules (.ts or .js) that export tasks made by defineTask");
  addSettings(worker)
    .option("--print-config", "show each setting with its source, and end")
    .option("--json", "with --print-config: print JSON")
    .addHelpText(
      "after",
      `
Each flag is also a variable (--max-loop-delay is TASKLOOM_MAX_LOOP_DELAY) and a line of taskloom.config.ts. A flag
overrides the variable, and the variable overrides the file. Tokens are variables only, because other users can see
flags: TASKLOOM_TOKEN permits everything, TASKLOOM_READ_TOKEN permits reading.

Examples:
  taskloom worker ./tasks.ts                                      with its jobs in ./.taskloom
  taskloom worker ./tasks.ts --engine redis://db:6379 --workers 4
  taskloom worker ./tasks.ts ./more.ts --queue default,mail --threads 8

On SIGTERM or Ctrl-C the worker takes no more jobs, gives running jobs --drain seconds, hands back the others, and
ends with exit code 0. A second signal ends it at once.`,
    )
    .action(async (modules: string[], flags: Record<string, unknown>) => {
      const { workerCommand } = await import("./worker-command.ts");
      ended(await workerCommand(modules, flags));
    });
}

function addDoctor(taskloom: Command, ended: Ended): void {
  addSettings(taskloom.command("doctor"), ["engine", "queues"])
    .description("Checks Node, engine, disk, clock, workers and task modules, and shows the next step.")
    .argument("[modules...]", "task modules to check")
    .option("--json", "print JSON")
    .addHelpText("after", examplesText(["doctor ./tasks.ts --engine redis://db:6379"]))
    .action(async (modules: string[], flags: Record<string, unknown>) => {
      const { doctorCommand } = await import("./doctor-command.ts");
      ended(await doctorCommand(modules, flags));
    });
}

function addShards(taskloom: Command, ended: Ended): void {
  addSettings(taskloom.command("shards"), ["engine"])
    .description("Shows the shards of an engine, or changes their number while workers run.")
    .option("--set <number>", "the new number of shards", whole(1))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      examplesText([
        "shards --engine redis://10.0.0.1,10.0.0.2",
        "shards --set 3 --engine redis://10.0.0.1,10.0.0.2,10.0.0.3",
        "shards --set 8 --engine redis-cluster://10.0.0.1,10.0.0.2",
      ]),
    )
    .action(async (flags: ShardsFlags) => {
      const { shardsCommand } = await import("./shards-command.ts");
      ended(await shardsCommand(flags));
    });
}

function addBackup(taskloom: Command, ended: Ended): void {
  addSettings(taskloom.command("backup"), ["engine"])
    .description("Copies the jobs of an embedded engine to a new file while its processes go on.")
    .argument("<file>", "the file of the copy, which must not exist")
    .addHelpText(
      "after",
      `${examplesText(["backup jobs-monday.sqlite --engine embedded:.taskloom"])}

To restore a copy, stop all processes and put the copy into an empty folder, with the name taskloom.sqlite.`,
    )
    .action(async (file: string, flags: Record<string, unknown>) => {
      const { backupCommand } = await import("./backup-command.ts");
      ended(await backupCommand(file, flags));
    });
}

function addSettings(command: Command, only?: readonly string[]): Command {
  command.option("--config <file>", "the config file; default: taskloom.config.ts (.mts, .js, .mjs) here");
  for (const { flag, name, description, fallback } of SETTING_RULES) {
    if (flag === undefined || (only !== undefined && !only.includes(name))) continue;
    const shown = Array.isArray(fallback) ? fallback.join(", ") : fallback;
    const hasDefault = typeof shown === "number" || (typeof shown === "string" && shown !== "");
    const text = hasDefault ? `${description} (default: ${shown})` : description;
    if (Array.isArray(fallback)) command.option(flag, text, collect);
    else command.option(flag, text);
  }
  return command;
}

const jobCommands = (): Promise<typeof import("./job-commands.ts")> => import("./job-commands.ts");

function addSubmission(taskloom: Command, ended: Ended): void {
  operator(
    taskloom,
    "submit <task> [args...]",
    "Submits a call of a task. Every argument is JSON; - reads one from standard input.",
    `submit image.thumbnail '"a.jpg"' 200 --wait`,
    'submit mail.send \'{"to":"ada@example.com"}\' --delay 60 --id welcome-ada',
    "submit orders.import - --run-timeout 600 --attempts 5 --backoff exponential:1:60 < orders.json",
  )
    .option("--module <files>", "task modules; needed if no running worker knows the task", collect)
    .option("--wait", "wait for the end of the job, and print its value")
    .option("--timeout <seconds>", "the longest wait for the end", seconds)
    .option("--id <id>", "an id of your own; two submissions with one id are one job")
    .option("--delay <seconds>", "the time before the job may start", seconds)
    .option(
      "--priority <number>",
      "a smaller number runs first; jobs without a priority run before all",
      whole(1),
    )
    .option("--attempts <number>", "number of attempts in all", whole(1))
    .option(
      "--backoff <wait>",
      "the wait between attempts: fixed:5, exponential:1, exponential:1:60 (seconds)",
      backoff,
    )
    .option("--run-timeout <seconds>", "the time that one attempt may run", seconds)
    .option("--deadline <seconds>", "the time from now on after which the result is of no use", seconds)
    .option("--deduplicate <key>", "fold the call into a job with this key that has not ended")
    .option("--deduplicate-for <seconds>", "hold the key for this time, even if its job ends sooner", seconds)
    .option("--tag <tags>", "tags by which the job is found", collect)
    .option("--limit-key <key>", "the key under which the limits of the task count the job")
    .action(async (task: string, args: string[], flags: SubmitFlags) =>
      ended(await (await jobCommands()).submitCommand(task, args, flags)),
    );
  operator(
    taskloom,
    "result <id>",
    "Prints the value of a job. The exit code shows how the job ended.",
    "result loop.0198c2f0-… --wait --timeout 30",
  )
    .option("--wait", "wait for the end of the job")
    .option("--timeout <seconds>", "the longest wait for the end", seconds)
    .action(async (id: string, flags: OperatorFlags & { wait?: boolean; timeout?: number }) =>
      ended(await (await jobCommands()).resultCommand(id, flags)),
    );
}

function addJobs(taskloom: Command, ended: Ended): void {
  operator(taskloom, "job <id>", "Shows everything about a job.", "job loop.0198c2f0-…").action(
    async (id: string, flags: OperatorFlags) => ended(await (await jobCommands()).jobCommand(id, flags)),
  );
  watched(
    operator(
      taskloom,
      "jobs [text]",
      "Lists the newest jobs, or the jobs with a text in their id, name or arguments.",
      "jobs a.jpg --state failed",
    ),
  )
    .addOption(
      new Option("--state <state>", "list only jobs in this state").choices([
        "waiting",
        "delayed",
        "active",
        "waiting-children",
        "completed",
        "failed",
        "cancelled",
      ]),
    )
    .option("--limit <number>", "number of jobs to list", whole(1), 20)
    .action(
      async (text: string | undefined, flags: WatchFlags & { state?: JobView["state"]; limit: number }) =>
        ended(await (await jobCommands()).jobsCommand(text, flags)),
    );
  operator(
    taskloom,
    "logs <id>",
    "Prints the log lines of a job.",
    "logs loop.0198c2f0-…",
    "logs loop.0198c2f0-… --follow",
  )
    .option("--follow", "print further lines until the job has ended")
    .action(async (id: string, flags: OperatorFlags & { follow?: boolean }) =>
      ended(await (await import("./log-commands.ts")).logsCommand(id, flags)),
    );
  operator(
    taskloom,
    "cancel <ids...>",
    "Cancels jobs in any state and on any worker.",
    "cancel loop.0198c2f0-… --reason 'wrong picture'",
  )
    .option("--reason <text>", "the reason, which the waiters of the job receive")
    .action(async (ids: string[], flags: OperatorFlags & { reason?: string }) =>
      ended(await (await jobCommands()).cancelCommand(ids, flags)),
    );
  operator(
    taskloom,
    "remove <ids...>",
    "Removes jobs that do not run, with all that is stored about them. Waiting jobs are cancelled first.",
    "remove loop.0198c2f0-…",
  ).action(async (ids: string[], flags: OperatorFlags) =>
    ended(await (await jobCommands()).changeCommand("remove", ids, flags)),
  );
  operator(
    taskloom,
    "promote <ids...>",
    "Lets delayed jobs run now, such as those that wait for their next attempt.",
    "promote loop.0198c2f0-…",
  ).action(async (ids: string[], flags: OperatorFlags) =>
    ended(await (await jobCommands()).changeCommand("promote", ids, flags)),
  );
}

function addFailures(taskloom: Command, ended: Ended): void {
  watched(
    operator(taskloom, "failed", "Lists the failed jobs by task and error.", "failed", "failed --watch 10"),
  ).action(async (flags: WatchFlags) => ended(await (await jobCommands()).failedCommand(flags)));
  operator(
    taskloom,
    "retry [ids...]",
    "Retries failed jobs, with all of their attempts.",
    "retry --task image.thumbnail",
  )
    .option("--task <name>", "retry all failed jobs of this task")
    .option("--all", "retry all failed jobs")
    .action(async (ids: string[], flags: OperatorFlags & { task?: string; all?: boolean }) =>
      ended(await (await jobCommands()).retryCommand(ids, flags)),
    );
}

const runCommands = (): Promise<typeof import("./run-commands.ts")> => import("./run-commands.ts");

function addRuns(taskloom: Command, ended: Ended): void {
  const runs = taskloom
    .command("runs")
    .description("Lists durable runs, shows them, and sends them messages.");
  watched(operator(runs, "list [text]", "Lists the newest runs.", "runs list --state parked --tag eu"))
    .option("--name <workflow>", "only runs of this workflow")
    .addOption(
      new Option("--state <state>", "only runs in this state").choices([
        "waiting",
        "delayed",
        "active",
        "parked",
        "completed",
        "failed",
        "cancelled",
      ]),
    )
    .option("--tag <tag>", "only runs with this tag")
    .option("--since <seconds>", "only runs that were submitted in the last seconds", seconds)
    .option("--limit <number>", "number of runs to list", whole(1), 20)
    .action(async (text: string | undefined, flags: RunsFlags) =>
      ended(await (await runCommands()).runsCommand(text, flags)),
    );
  operator(runs, "show <id>", "Shows everything about a run.", "runs show order-7").action(
    async (id: string, flags: OperatorFlags) => ended(await (await runCommands()).showRunCommand(id, flags)),
  );
  operator(runs, "history <id>", "Shows the ticks of a run.", "runs history order-7 --json").action(
    async (id: string, flags: OperatorFlags) =>
      ended(await (await runCommands()).runHistoryCommand(id, flags)),
  );
  operator(
    runs,
    "tree <id> <modules...>",
    "Replays a run here without effects, and shows where it waits.",
    "runs tree order-7 ./orders.ts",
  ).action(async (id: string, modules: string[], flags: OperatorFlags) =>
    ended(await (await runCommands()).runTreeCommand(id, modules, flags)),
  );
  operator(
    runs,
    "signal <id> <name> [payload]",
    "Sends a signal. The payload is JSON.",
    `runs signal order-7 approved '{"by":"ada"}' --key approval-7`,
  )
    .option("--key <key>", "the name of the signal; a repeated one with the same key is stored once")
    .action(
      async (
        id: string,
        name: string,
        payload: string | undefined,
        flags: OperatorFlags & { key?: string },
      ) => ended(await (await runCommands()).signalCommand(id, name, payload, flags)),
    );
  operator(
    runs,
    "update <id> <name> [args...]",
    "Sends an update, and prints its answer. Every argument is JSON.",
    `runs update order-7 rename '"Ada"'`,
  )
    .option("--timeout <seconds>", "the longest wait for the answer (default: 30)", seconds)
    .action(async (id: string, name: string, args: string[], flags: OperatorFlags & { timeout?: number }) =>
      ended(await (await runCommands()).updateCommand(id, name, args, flags)),
    );
  for (const [action, text] of [
    ["cancel", "Asks a run to end; its code cleans up."],
    ["terminate", "Ends a run as cancelled, at once; none of its code is executed any more."],
  ] as const) {
    operator(runs, `${action} <id>`, text, `runs ${action} order-7 --reason 'customer left'`)
      .option("--reason <text>", "the reason, which the run and its waiters receive")
      .action(async (id: string, flags: OperatorFlags & { reason?: string }) =>
        ended(await (await runCommands()).endRunCommand(action, id, flags)),
      );
  }
  for (const command of runs.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  operator(
    taskloom,
    "replay <modules...>",
    "Checks the histories of all live runs against the code of modules, without effects.",
    "replay ./orders.ts --engine redis://db:6379",
  )
    .addHelpText(
      "after",
      "\nThe exit code is 0 if each history fits, 1 if one diverges, and 3 if the modules lack a workflow of a live run.",
    )
    .action(async (modules: string[], flags: OperatorFlags) =>
      ended(await (await runCommands()).replayCommand(modules, flags)),
    );
}

const watchCommands = (): Promise<typeof import("./watch-commands.ts")> => import("./watch-commands.ts");

function addWorkers(taskloom: Command, ended: Ended): void {
  watched(
    operator(
      taskloom,
      "ps",
      "Shows the workers on all machines, and the jobs that they run.",
      "ps --engine redis://db:6379",
      "ps --url http://10.0.0.2:7373 --watch",
    ),
  ).action(async (flags: WatchFlags) => ended(await (await watchCommands()).psCommand(flags)));
  watched(
    operator(
      taskloom,
      "tree [worker]",
      "Shows the live tasks of workers, and the object and the time that each task waits for.",
      "tree",
      "tree db1:4711/0",
    ),
  ).action(async (worker: string | undefined, flags: WatchFlags) =>
    ended(await (await watchCommands()).treeCommand(worker, flags)),
  );
}
