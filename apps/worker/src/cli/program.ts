import { availableParallelism } from "node:os";
import { Command, CommanderError } from "commander";
import type { DemoFlags } from "../demo/demo-command.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { version } from "../version.ts";
import { whole } from "./flag-parsers.ts";
import { addServiceCommands } from "./service-commands.ts";

/** Runs the command line, and returns the exit code. */
export async function program(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT_CODES.ok;
  const taskloom = new Command("taskloom")
    .description("Runs tasks on the event loop, on threads and on other machines.")
    .addHelpText("after", HELP)
    .showSuggestionAfterError(true)
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  addDemo(taskloom, (code) => (exitCode = code));
  addServiceCommands(taskloom, (code) => (exitCode = code));
  for (const command of taskloom.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  try {
    await taskloom.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT_CODES.ok; // --help and --version
    if (error.code === "commander.help") return EXIT_CODES.usage; // Without a command, commander has shown the help.
    throw new CliFailure("USAGE", usageMessage(error), { exitCode: EXIT_CODES.usage, cause: error });
  }
  return exitCode;
}

/** Returns a message of commander in the form of Taskloom's messages. */
function usageMessage({ message }: CommanderError): string {
  const text = message
    .replace(/^error: /, "")
    .replaceAll("\n", " ")
    .replace(/\.$/, "");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}; see --help`;
}

function addDemo(taskloom: Command, ended: (exitCode: number) => void): void {
  taskloom
    .command("demo")
    .description("Counts, hashes and compresses every file below a directory.")
    .argument("[directory]", "the directory; default: this project, without node_modules and .git")
    .option("--once", "end after the work; without this flag the service stays up until Ctrl-C", false)
    .option(
      "--engine <url>",
      "the engine that stores the jobs: embedded:FOLDER, redis://HOST:PORT or postgres://HOST/DATABASE",
      "embedded:.taskloom",
    )
    .option("--workers <number>", "number of worker processes", whole(1), 1)
    .option("--threads <number>", "threads of each worker", whole(1), Math.max(1, availableParallelism() - 1))
    .option(
      "--port <number>",
      "the HTTP port on 127.0.0.1; 0 takes any free port (default: 7373, or a free port if it is in use)",
      whole(0),
    )
    .option("--deadline <seconds>", "the time for the whole run", whole(1), 3_600)
    .option("--patience <seconds>", "the time after which a silent engine ends the run", whole(1), 10)
    .option("--out <file>", "write one line of JSON for each file to this file")
    .addHelpText("after", "\nExample:\n  taskloom demo /usr/share/doc --once")
    .action(async (directory: string | undefined, flags: DemoFlags) => {
      const { demoCommand } = await import("../demo/demo-command.ts");
      ended(await demoCommand(directory, flags));
    });
}

const HELP = `
Examples:
  taskloom init my-app                                make a project with a web server, a worker and a test
  taskloom worker ./tasks.ts                          run a worker, with its jobs in ./.taskloom
  taskloom worker ./tasks.ts --engine redis://db:6379 --workers 4
  taskloom submit image.thumbnail '"a.jpg"' 200 --wait
  taskloom ps && taskloom tree                        show the workers and their live tasks
  taskloom failed && taskloom retry --task image.thumbnail
  taskloom doctor ./tasks.ts                          check this setup

Exit codes:
  0    done                       4    not found
  1    the command failed         5    the job failed
  2    invalid flag or setting    6    the job was cancelled
  3    done in part               7    the job has not ended yet
                                  130  stopped by a signal`;
