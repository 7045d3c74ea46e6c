import { availableParallelism } from "node:os";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { version } from "../version.ts";
import { demoCommand } from "../demo/demo-command.ts";
import { CliFailure, exitCodes } from "./failure.ts";
import { workerCommand } from "./worker-command.ts";

/** Runs the command line; the result is the exit code. */
export async function program(args: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const taskloom = new Command("taskloom")
    .description("Runs tasks: on this loop, on threads, on other machines.")
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: () => {} });

  taskloom
    .command("demo")
    .description("The main job: counts, hashes and compresses every file below a directory.")
    .argument("[directory]", "the directory; default: this project, without node_modules and .git")
    .option("--once", "end when the work is done, rather than stay up until Ctrl-C", false)
    .option(
      "--engine <url>",
      "where jobs are kept: embedded:FOLDER or redis://HOST:PORT",
      "embedded:.taskloom",
    )
    .option("--workers <number>", "worker processes; more than one needs Redis", wholeFrom(1), 1)
    .option(
      "--threads <number>",
      "threads of each worker",
      wholeFrom(1),
      Math.max(1, availableParallelism() - 1),
    )
    .option("--port <number>", "HTTP port on 127.0.0.1; 0 takes any free one", wholeFrom(0), 7373)
    .option("--deadline <seconds>", "give up after this long", wholeFrom(1), 3_600)
    .option(
      "--patience <seconds>",
      "give up when the engine has not answered for this long",
      wholeFrom(1),
      10,
    )
    .option("--out <file>", "write one line of JSON for each file")
    .action(async (directory: string | undefined, flags) => {
      exitCode = await demoCommand(directory, flags);
    });

  taskloom
    .command("worker")
    .description("Runs a worker for the tasks that modules export, until it is told to stop.")
    .argument("<module...>", "modules that export tasks made by defineTask")
    .option(
      "--engine <url>",
      "where jobs are kept: embedded:FOLDER or redis://HOST:PORT",
      "embedded:.taskloom",
    )
    .option("--queue <names...>", "the queues to take jobs from", ["default"])
    .option("--threads <number>", "threads for blocking tasks", wholeFrom(1))
    .option("--concurrency <number>", "cooperative tasks that run at once", wholeFrom(1))
    .option("--drain <seconds>", "how long running jobs may go on at the end", Number, 30)
    .action(async (modules: string[], flags) => {
      exitCode = await workerCommand(modules, flags);
    });

  for (const command of taskloom.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  try {
    await taskloom.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return exitCodes.ok; // --help and --version
    const message = error.message.replace(/^error: /, "");
    throw new CliFailure("USAGE", `${message.replace(/\.?$/, ".")} See --help.`, {
      exitCode: exitCodes.usage,
      cause: error,
    });
  }
  return exitCode;
}

function wholeFrom(least: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!Number.isSafeInteger(number) || number < least)
      throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
    return number;
  };
}
