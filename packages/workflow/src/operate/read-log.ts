import type { Engine } from "@taskloom/queue";
import { JOURNAL_PAGE, untilAnswered } from "@taskloom/queue/lane";
import type { RunAddress } from "./run-address.ts";

/** Reads a page of the log of a run, from an entry on; an empty page is the end of the log. */
export async function readLogPage(
  engine: Engine,
  { lane, stored }: RunAddress,
  from: number,
): Promise<string[]> {
  return await untilAnswered(engine, () => engine.journal.read(lane, stored, from, JOURNAL_PAGE));
}

/** Reads the log of a run, page after page. */
export async function* logPages(
  engine: Engine,
  address: RunAddress,
): AsyncGenerator<readonly string[], void> {
  for (let from = 0; ;) {
    const page = await readLogPage(engine, address, from);
    if (page.length > 0) yield page;
    if (page.length < JOURNAL_PAGE) return;
    from += page.length;
  }
}
