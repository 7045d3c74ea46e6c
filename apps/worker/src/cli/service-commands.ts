import { Option } from "commander";
import type { Command } from "commander";
import { settingRules } from "../config/settings.ts";
import type { JobView } from "../operations/operations.ts";
import type { OperatorFlags } from "./open-operations.ts";
import type { SubmitFlags } from "./job-commands.ts";
import type { ScheduleFlags } from "./watch-commands.ts";
import { collect, seconds, wholeFrom } from "./whole-from.ts";

/**
 * The commands that run and operate a service. Each one's code is loaded when it is asked for: `taskloom submit` has no
 * use for a web server.
 */
export function addServiceCommands(taskloom: Command, ended: (exitCode: number) => void): void {
  addWorker(taskloom, ended);
  addBackup(taskloom, ended);
  addJobCommands(taskloom, ended);
  addWatchCommands(taskloom, ended);
}

function addWorker(taskloom: Command, ended: (exitCode: number) => void): void {
  const worker = taskloom
    .command("worker")
    .description("Runs a worker for the tasks that modules export, until it is told to stop.")
    .argument("[modules...]", "modules (.ts or .js) that export tasks made by defineTask");
  addSettings(worker)
    .option("--print-config", "show every setting and who said it, and end")
    .option("--json", "with --print-config: for programs")
    .addHelpText(
      "after",
      `
Each flag can also be a variable (--max-loop-delay is TASKLOOM_MAX_LOOP_DELAY) or a line in taskloom.config.ts;
flags go before variables, and those before the file. Tokens are no flags, since other users could see them:
TASKLOOM_TOKEN may do everything, TASKLOOM_READ_TOKEN may look.

Examples:
  taskloom worker ./tasks.ts                                      an engine of its own in ./.taskloom
  taskloom worker ./tasks.ts --engine redis://db:6379 --workers 4
  taskloom worker ./tasks.ts ./more.ts --queue default,mail --threads 8

SIGTERM or Ctrl-C: no more jobs are taken, what runs has --drain seconds, the rest is given back, and the process
ends with 0. The second signal ends it at once.`,
    )
    .action(async (modules: string[], flags: Record<string, unknown>) => {
      const { workerCommand } = await import("./worker-command.ts");
      ended(await workerCommand(modules, flags));
    });
  addSettings(taskloom.command("doctor"), ["engine", "queues"])
    .description("Looks at Node, engine, disk, clock, workers and task modules, and says what to mend.")
    .argument("[modules...]", "task modules to look at")
    .option("--json", "for programs")
    .addHelpText("after", examplesText(["doctor ./tasks.ts --engine redis://db:6379"]))
    .action(async (modules: string[], flags: Record<string, unknown>) => {
      const { doctorCommand } = await import("./doctor-command.ts");
      ended(await doctorCommand(modules, flags));
    });
}

function addBackup(taskloom: Command, ended: (exitCode: number) => void): void {
  addSettings(taskloom.command("backup"), ["engine"])
    .description("Copies the jobs of an embedded engine to a new file while its processes go on.")
    .argument("<file>", "the copy; it must not be there yet")
    .addHelpText(
      "after",
      `${examplesText(["backup jobs-monday.sqlite --engine embedded:.taskloom"])}

To go back to a copy, stop all processes and put it in an empty folder as taskloom.sqlite.`,
    )
    .action(async (file: string, flags: Record<string, unknown>) => {
      const { backupCommand } = await import("./backup-command.ts");
      ended(await backupCommand(file, flags));
    });
}

function addSettings(command: Command, only?: readonly string[]): Command {
  command.option("--config <file>", "the config file; default: taskloom.config.ts (.mts, .js, .mjs) here");
  for (const { flag, name, description, fallback } of settingRules) {
    if (flag === undefined || (only !== undefined && !only.includes(name))) continue;
    const shown = Array.isArray(fallback) ? fallback.join(", ") : fallback;
    const isNamed = typeof shown === "number" || (typeof shown === "string" && shown !== "");
    const text = isNamed ? `${description} (default: ${shown})` : description;
    if (Array.isArray(fallback)) command.option(flag, text, collect);
    else command.option(flag, text);
  }
  return command;
}

function operator(
  taskloom: Command,
  usage: string,
  description: string,
  ...examples: readonly string[]
): Command {
  return taskloom
    .command(usage)
    .description(description)
    .option("--engine <url>", "where jobs are kept (default: embedded:.taskloom)")
    .option(
      "--url <address>",
      "the address of a service, http://… or unix:PATH, instead of an engine (TASKLOOM_URL)",
    )
    .option("--queue <name>", "the queue (default: default)")
    .option("--config <file>", "the config file")
    .option("--json", "for programs")
    .addHelpText("after", examplesText(examples));
}

function examplesText(examples: readonly string[]): string {
  return `\nExample${examples.length === 1 ? "" : "s"}:\n${examples.map((each) => `  taskloom ${each}`).join("\n")}`;
}

function addJobCommands(taskloom: Command, ended: (exitCode: number) => void): void {
  const load = (): Promise<typeof import("./job-commands.ts")> => import("./job-commands.ts");
  operator(
    taskloom,
    "submit <task> [args...]",
    "Submits a call of a task; every argument is JSON.",
    `submit image.thumbnail '"a.jpg"' 200 --wait`,
    'submit mail.send \'{"to":"ada@example.com"}\' --delay 60 --id welcome-ada',
  )
    .option("--module <files>", "task modules, when no worker runs that knows the task", collect)
    .option("--wait", "wait for the end, and print the value")
    .option("--timeout <seconds>", "how long to wait", seconds)
    .option("--id <id>", "a name of your own: the same id twice is one job")
    .option("--delay <seconds>", "how long to wait before it may start", seconds)
    .option("--priority <number>", "smaller first; those without one go before all", wholeFrom(1))
    .option("--attempts <number>", "how often it is tried in all", wholeFrom(1))
    .action(async (task: string, args: string[], flags: SubmitFlags) =>
      ended(await (await load()).submitCommand(task, args, flags)),
    );
  operator(
    taskloom,
    "result <id>",
    "Prints a job's value; the exit code says how it ended.",
    "result loop.0198c2f0-… --wait --timeout 30",
  )
    .option("--wait", "wait for the end")
    .option("--timeout <seconds>", "how long to wait", seconds)
    .action(async (id: string, flags: OperatorFlags & { wait?: boolean; timeout?: number }) =>
      ended(await (await load()).resultCommand(id, flags)),
    );
  operator(taskloom, "job <id>", "Shows everything that is known of a job.", "job loop.0198c2f0-…").action(
    async (id: string, flags: OperatorFlags) => ended(await (await load()).jobCommand(id, flags)),
  );
  operator(
    taskloom,
    "jobs [text]",
    "Lists the newest jobs, or those with a text in id, name or arguments.",
    "jobs a.jpg --state failed",
  )
    .addOption(
      new Option("--state <state>", "only those in this state").choices([
        "waiting",
        "delayed",
        "active",
        "waiting-children",
        "completed",
        "failed",
        "cancelled",
      ]),
    )
    .option("--limit <number>", "how many at most", wholeFrom(1), 20)
    .action(
      async (text: string | undefined, flags: OperatorFlags & { state?: JobView["state"]; limit: number }) =>
        ended(await (await load()).jobsCommand(text, flags)),
    );
  operator(
    taskloom,
    "cancel <ids...>",
    "Cancels jobs wherever they are.",
    "cancel loop.0198c2f0-… --reason 'wrong picture'",
  )
    .option("--reason <text>", "why, for whoever waits")
    .action(async (ids: string[], flags: OperatorFlags & { reason?: string }) =>
      ended(await (await load()).cancelCommand(ids, flags)),
    );
  operator(
    taskloom,
    "failed",
    "Lists what failed for good, grouped by task and error.",
    "failed --json",
  ).action(async (flags: OperatorFlags) => ended(await (await load()).failedCommand(flags)));
  operator(
    taskloom,
    "retry [ids...]",
    "Puts what failed for good back into its queue.",
    "retry --task image.thumbnail",
  )
    .option("--task <name>", "everything of this task that failed")
    .option("--all", "everything that failed")
    .action(async (ids: string[], flags: OperatorFlags & { task?: string; all?: boolean }) =>
      ended(await (await load()).retryCommand(ids, flags)),
    );
}

function addWatchCommands(taskloom: Command, ended: (exitCode: number) => void): void {
  const load = (): Promise<typeof import("./watch-commands.ts")> => import("./watch-commands.ts");
  operator(
    taskloom,
    "ps",
    "Shows every worker and what it runs, across processes and machines.",
    "ps --engine redis://db:6379",
    "ps --url http://10.0.0.2:7373",
  ).action(async (flags: OperatorFlags) => ended(await (await load()).psCommand(flags)));
  operator(
    taskloom,
    "tree [worker]",
    "Shows live tasks, what each waits for and for how long.",
    "tree",
    "tree db1/0",
  ).action(async (worker: string | undefined, flags: OperatorFlags) =>
    ended(await (await load()).treeCommand(worker, flags)),
  );
  operator(
    taskloom,
    "queues",
    "Shows what is in the queues; pauses and resumes them.",
    "queues --pause default",
  )
    .option("--pause <name>", "let workers take no more jobs of this queue")
    .option("--resume <name>", "let them take jobs again")
    .action(async (flags: OperatorFlags & { pause?: string; resume?: string }) =>
      ended(await (await load()).queuesCommand(flags)),
    );
  operator(
    taskloom,
    "schedule [id] [task] [args...]",
    "Lists schedules, sets one, or removes one.",
    `schedule nightly report.send '"all"' --cron '0 3 * * *' --timezone Europe/Paris`,
    "schedule nightly --remove",
  )
    .option("--cron <pattern>", "when, such as '0 3 * * *'")
    .option("--every <seconds>", "how often", seconds)
    .option("--timezone <name>", "of the cron pattern, such as Europe/Paris")
    .option("--remove", "remove the schedule")
    .action(async (id: string | undefined, task: string | undefined, args: string[], flags: ScheduleFlags) =>
      ended(await (await load()).scheduleCommand(id, task, args, flags)),
    );
}
