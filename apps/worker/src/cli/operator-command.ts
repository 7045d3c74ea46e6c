import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { seconds } from "./flag-parsers.ts";

/** Receives the exit code of a command. */
export type Ended = (exitCode: number) => void;

/** Adds a command that reads or changes the jobs of an engine or a service. */
export function operator(
  taskloom: Command,
  usage: string,
  description: string,
  ...examples: readonly string[]
): Command {
  return operatorOfQueue(taskloom, usage, description, ...examples).option(
    "--queue <name>",
    "the queue (default: all queues; for a new job or schedule, the queue default)",
  );
}

/** Adds a command like {@link operator}, whose queue is an argument and not a flag. */
export function operatorOfQueue(
  taskloom: Command,
  usage: string,
  description: string,
  ...examples: readonly string[]
): Command {
  return taskloom
    .command(usage, { isDefault: usage.startsWith("list ") })
    .description(description)
    .option("--engine <url>", "the engine that stores the jobs (default: embedded:.taskloom)")
    .option(
      "--url <address>",
      "the address of a service, http://… or unix:PATH, in place of an engine (TASKLOOM_URL)",
    )
    .option("--config <file>", "the config file")
    .option("--json", "print JSON")
    .addHelpText("after", examplesText(examples));
}

/** Returns the examples of a command as the end of its help. */
export function examplesText(examples: readonly string[]): string {
  return `\nExample${examples.length === 1 ? "" : "s"}:\n${examples.map((each) => `  taskloom ${each}`).join("\n")}`;
}

const MIN_WATCH_SECONDS = 0.1;

/** Adds the flag `--watch` to a command. */
export function watched(command: Command): Command {
  return command.addOption(
    new Option("--watch [seconds]", "show it again every so many seconds (2), until Ctrl-C")
      .preset("2")
      .argParser(watchInterval),
  );
}

function watchInterval(value: string): number {
  const interval = seconds(value);
  if (interval >= MIN_WATCH_SECONDS) return interval;
  throw new InvalidArgumentError(`Expected a number from ${MIN_WATCH_SECONDS}`);
}
