import { availableParallelism } from "node:os";
import { Command, CommanderError } from "commander";
import { version } from "../version.ts";
import type { DemoFlags } from "../demo/demo-command.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { addServiceCommands } from "./service-commands.ts";
import { wholeFrom } from "./whole-from.ts";

/** Runs the command line; the result is the exit code. */
export async function program(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT_CODES.ok;
  const taskloom = new Command("taskloom")
    .description("Runs tasks: on this loop, on threads, on other machines.")
    .addHelpText("after", help)
    .showSuggestionAfterError(true)
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
    .option("--workers <number>", "worker processes", wholeFrom(1), 1)
    .option(
      "--threads <number>",
      "threads of each worker",
      wholeFrom(1),
      Math.max(1, availableParallelism() - 1),
    )
    .option(
      "--port <number>",
      "HTTP port on 127.0.0.1; 0 takes any free one (default: 7373, or a free one)",
      wholeFrom(0),
    )
    .option("--deadline <seconds>", "give up after this long", wholeFrom(1), 3_600)
    .option(
      "--patience <seconds>",
      "give up when the engine has not answered for this long",
      wholeFrom(1),
      10,
    )
    .option("--out <file>", "write one line of JSON for each file")
    .addHelpText("after", "\nExample:\n  taskloom demo /usr/share/doc --once")
    .action(async (directory: string | undefined, flags: DemoFlags) => {
      const { demoCommand } = await import("../demo/demo-command.ts");
      exitCode = await demoCommand(directory, flags);
    });

  addServiceCommands(taskloom, (code) => (exitCode = code));

  for (const command of taskloom.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  try {
    await taskloom.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT_CODES.ok; // --help and --version
    if (error.code === "commander.help") return EXIT_CODES.usage; // No command at all: the help has been shown.
    const message = error.message.replace(/^error: /, "").replaceAll("\n", " ");
    throw new CliFailure("USAGE", `${message.replace(/\.?$/, ".")} See --help.`, {
      exitCode: EXIT_CODES.usage,
      cause: error,
    });
  }
  return exitCode;
}

const help = `
Examples:
  taskloom worker ./tasks.ts                          a worker with an engine of its own in ./.taskloom
  taskloom worker ./tasks.ts --engine redis://db:6379 --workers 4
  taskloom submit image.thumbnail '"a.jpg"' 200 --wait
  taskloom ps && taskloom tree                        what runs where, and what it waits for
  taskloom failed && taskloom retry --task image.thumbnail
  taskloom doctor ./tasks.ts                          what is wrong with this set-up, if anything

Exit codes:
  0 done   1 could not be done   2 wrong command line or setting   3 done in part   4 no such thing
  5 the job failed   6 it was cancelled   7 it has not ended yet   130 stopped by a signal`;
