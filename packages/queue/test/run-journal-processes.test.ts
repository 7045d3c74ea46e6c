import { describe, expect } from "vitest";
import { KEPT_KEYS } from "../src/contract/run-journal.ts";
import { startChild } from "./embedded/fixtures/child.ts";
import { stores } from "./engines.ts";
import { append, laneTest } from "./journal-lane.ts";
import type { JournalLane } from "./journal-lane.ts";

const ITEMS = KEPT_KEYS;
/** The sender is killed when the run has so many items. */
const KILLED_AT = 20;

/** Runs a run that parks as soon as it has nothing to read, until it has all items. */
async function readAll(lane: JournalLane, onItems: (taken: readonly string[]) => void): Promise<string[]> {
  const { journal, name } = lane;
  const taken: string[] = [];
  for (;;) {
    const { id, token, job, end, leave } = await lane.claim();
    const run = (await journal.open(name, id, token))!;
    const { epoch, generation, length, inbox } = run;
    const read = run.read + inbox.length;
    const [answer] = await journal.append(name, [append(id, length, [...inbox], { epoch, consume: read })]);
    expect(answer?.kind).toBe("ok");
    taken.push(...inbox);
    onItems(taken);
    if (taken.length >= ITEMS) {
      end();
      return taken;
    }
    const terms = { token, epoch, generation, read, until: Number.POSITIVE_INFINITY };
    if ((await journal.park(name, id, terms)) === "news") await job.moveToWait(token);
    leave();
  }
}

describe.each(stores.filter(({ name }) => name !== "memory"))("on $name", ({ test: engineTest }) => {
  const test = laneTest(engineTest);

  test("a sender in another process is killed and started again, and each item comes once", async ({
    lane,
    engine,
  }) => {
    const id = "workflow.run";
    await lane.add(id);
    const killable = Promise.withResolvers<void>();
    const reading = readAll(lane, (taken) => {
      if (taken.length >= KILLED_AT) killable.resolve();
    });
    const args = [engine, lane.name, id, String(ITEMS)];
    const first = startChild("../../fixtures/sender-process.ts", args);
    await killable.promise;
    first.process.kill("SIGKILL");
    await first.ended;
    const second = startChild("../../fixtures/sender-process.ts", args);
    await second.printed("sent");
    expect(await reading).toEqual(Array.from({ length: ITEMS }, (_, n) => `"${n}"`));
  });
});
