import { EXIT_CODES } from "../errors/cli-failure.ts";
import { allFrom, pagesFrom } from "../operations/all-pages.ts";
import { hasEnded } from "../operations/operations.ts";
import type { Operations } from "../operations/operations.ts";
import { out, printJson } from "../terminal/output.ts";
import { withOperations } from "./open-operations.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { untilInterrupted } from "./until-interrupted.ts";

/** The interval at which the log of a running job is polled. */
const POLL_INTERVAL_MS = 500;

/** Runs `taskloom logs ID`. With `--follow`, each line is printed when it comes, until the job has ended. */
export async function logsCommand(
  id: string,
  flags: OperatorFlags & { readonly follow?: boolean },
): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    if (flags.follow === true) {
      const print = (line: string): void => (flags.json === true ? printJson(line, true) : out(line));
      const message = `No longer following, but the job goes on: taskloom logs ${id} --follow shows its log again`;
      await untilInterrupted(message, (stop) => follow(operations, id, queue, print, stop));
      return EXIT_CODES.ok;
    }
    const lines = await allFrom((from) => operations.logs(id, from, queue));
    if (flags.json === true) printJson(lines);
    else for (const line of lines) out(line);
    return EXIT_CODES.ok;
  });
}

async function follow(
  operations: Operations,
  id: string,
  queue: string | undefined,
  print: (line: string) => void,
  stop: Promise<never>,
): Promise<void> {
  let printed = 0;
  for (let wait = 0; ; wait = POLL_INTERVAL_MS) {
    const { state } = await Promise.race([operations.waitForEnd(id, wait, queue), stop]);
    const from = printed;
    for await (const page of pagesFrom((at) => operations.logs(id, from + at, queue))) {
      for (const line of page) print(line);
      printed += page.length;
    }
    // All lines of a job are stored before its end, so the pages above have the last ones.
    if (hasEnded(state)) return;
  }
}
