import { Option } from "commander";
import type { Command } from "commander";
import { collect, seconds, whole } from "./flag-parsers.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { operator, operatorOfQueue, watched } from "./operator-command.ts";
import type { Ended } from "./operator-command.ts";
import type { CleanFlags, LimitFlags, LimitsFlags } from "./queue-commands.ts";
import type { ScheduleFlags } from "./schedule-commands.ts";
import type { WatchFlags } from "./shown-view.ts";

const queueCommands = (): Promise<typeof import("./queue-commands.ts")> => import("./queue-commands.ts");

/** Adds the commands that show and change queues. */
export function addQueueCommands(taskloom: Command, ended: Ended): void {
  watched(
    operator(
      taskloom,
      "queues",
      "Shows the jobs of the queues by state; pauses and resumes queues.",
      "queues --pause default",
      "queues --watch",
    ),
  )
    .option("--pause <name>", "stop workers from taking jobs of this queue")
    .option("--resume <name>", "let workers take jobs of this queue again")
    .action(async (flags: WatchFlags & { pause?: string; resume?: string }) =>
      ended(await (await queueCommands()).queuesCommand(flags)),
    );
  operatorOfQueue(
    taskloom,
    "drain <queue>",
    "Cancels the waiting jobs of a queue. Running jobs, and the next runs of schedules, go on.",
    "drain mail",
    "drain mail --delayed",
  )
    .option("--delayed", "also cancel the delayed jobs, such as those that wait for their next attempt")
    .action(async (queue: string, flags: OperatorFlags & { delayed?: boolean }) =>
      ended(await (await queueCommands()).drainCommand(queue, flags)),
    );
  operatorOfQueue(
    taskloom,
    "clean <queue>",
    "Removes the jobs of a queue in one state, with all that is stored about them, the oldest first.",
    "clean mail --state failed --older-than 604800",
    "clean mail --state waiting --task mail.send --limit 100",
  )
    .addOption(
      new Option("--state <state>", "the state of the jobs")
        .choices(["completed", "failed", "cancelled", "waiting", "delayed"])
        .makeOptionMandatory(),
    )
    .option("--older-than <seconds>", "only jobs that ended (or were submitted) so long ago", seconds)
    .option("--task <name>", "only jobs of this task")
    .option("--limit <number>", "the greatest number of jobs", whole(1))
    .action(async (queue: string, flags: CleanFlags) =>
      ended(await (await queueCommands()).cleanCommand(queue, flags)),
    );
  operatorOfQueue(
    taskloom,
    "limit <queue>",
    "Limits the jobs that each lane of a queue starts in a time, on all workers together. taskloom limits shows all limits.",
    "limit mail 100 --per 60",
    "limit mail --off",
  )
    .argument("[max]", "the number of jobs", whole(1))
    .option("--per <seconds>", "the time for these jobs", seconds)
    .option("--off", "lift the limit")
    .action(async (queue: string, max: number | undefined, flags: LimitFlags) =>
      ended(await (await queueCommands()).limitCommand(queue, max, flags)),
    );
  watched(
    operator(
      taskloom,
      "limits",
      "Shows the limits of tasks in use, with the taken slots and the waiting jobs, and the rate limits of queues.",
      "limits --task crm.sync",
      "limits --watch",
    ),
  )
    .option("--task <name>", "only limits of this task")
    .option("--limit <number>", "the greatest number of limits of tasks", whole(1), 50)
    .action(async (flags: LimitsFlags) => ended(await (await queueCommands()).limitsCommand(flags)));
}

const scheduleCommands = (): Promise<typeof import("./schedule-commands.ts")> =>
  import("./schedule-commands.ts");

/** Adds the commands that show and change schedules. */
export function addScheduleCommands(taskloom: Command, ended: Ended): void {
  watched(
    operator(
      taskloom,
      "schedule [id] [task] [args...]",
      "Lists the schedules, sets a schedule, or removes one.",
      `schedule nightly report.send '"all"' --cron '0 3 * * *' --timezone Europe/Paris`,
      "schedule nightly --pause",
      "schedule nightly --remove",
    ),
  )
    .option("--cron <pattern>", "the times of the runs, such as '0 3 * * *'")
    .option("--every <seconds>", "the interval of the runs", seconds)
    .option("--timezone <name>", "the time zone of the cron pattern, such as Europe/Paris")
    .option("--module <files>", "task modules; needed if no running worker knows the task", collect)
    .addOption(new Option("--pause", "run the schedule no more until it is resumed"))
    .addOption(new Option("--resume", "run a paused schedule again").conflicts("pause"))
    .addOption(new Option("--remove", "remove the schedule").conflicts(["pause", "resume"]))
    .action(async (id: string | undefined, task: string | undefined, args: string[], flags: ScheduleFlags) =>
      ended(await (await scheduleCommands()).scheduleCommand(id, task, args, flags)),
    );
  operator(
    taskloom,
    "run-now <schedule>",
    "Runs a schedule once more now, and prints the id of the job. The times of its other runs stay.",
    "run-now nightly",
  ).action(async (id: string, flags: OperatorFlags) =>
    ended(await (await scheduleCommands()).runNowCommand(id, flags)),
  );
}
