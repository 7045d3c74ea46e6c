import type { Engine } from "@taskloom/queue";
import { MAX_UNREAD, untilAnswered } from "@taskloom/queue/lane";
import { RunEndedError, RunFullError, RunUnknownError } from "../errors.ts";
import type { InboxItem } from "../journal/entry.ts";
import type { RunAddress } from "../operate/run-address.ts";

/**
 * Delivers an item to a run, once: a delivery that is repeated after a lost answer has the same key.
 *
 * @param isWanted returns whether to repeat the delivery if the engine does not answer.
 * @throws {@link RunUnknownError}, {@link RunEndedError} or {@link RunFullError} if the run does not take it.
 */
export async function deliver(
  engine: Engine,
  { lane, stored }: RunAddress,
  item: InboxItem,
  key: string,
  isWanted?: () => boolean,
): Promise<void> {
  const text = JSON.stringify(item);
  const { kind } = await untilAnswered(
    engine,
    () => engine.journal.deliver(lane, stored, [text], key),
    isWanted,
  );
  switch (kind) {
    case "stored":
      return;
    case "gone":
      throw unknownRun(stored, lane);
    case "ended":
      throw endedRun(stored);
    case "full":
      throw new RunFullError(
        `Run ${stored} has ${MAX_UNREAD} unread deliveries and takes no more: check that a worker runs it and that its code reads them, and send again`,
      );
  }
}

export function unknownRun(id: string, lane: string): RunUnknownError {
  return new RunUnknownError(
    `There is no run ${id} in ${lane}: check the id and the queue, or its retention has removed the run`,
  );
}

export function endedRun(id: string): RunEndedError {
  return new RunEndedError(`Run ${id} has ended: read its result, or submit a new run`);
}
