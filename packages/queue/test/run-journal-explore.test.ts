import { gather, sleep } from "@taskloom/loop";
import { explore } from "@taskloom/loop/testing";
import { expect, test } from "vitest";
import { JournalLane, append } from "./journal-lane.ts";

const SENDERS = 3;
const ITEMS = 4;
/** Every item is sent within so many milliseconds. A lost wake would wait for the end of a year. */
const SOON_MS = 1_000;

/** One run that parks whenever it has nothing to read, and senders that deliver at any moment. */
async function parkWhileItemsCome(seed: number): Promise<void> {
  const lane = new JournalLane(`memory:explore-${seed}`);
  await lane.start();
  const { journal, name, engine } = lane;
  const begun = engine.now();
  const id = "workflow.run";
  await lane.add(id);
  const taken: string[] = [];

  const own = async (): Promise<void> => {
    while (taken.length < SENDERS * ITEMS) {
      const claim = await lane.claim();
      const run = (await journal.open(name, id, claim.token))!;
      const { epoch, generation } = run;
      let { length, read, inbox } = run;
      for (;;) {
        await sleep(0);
        read += inbox.length;
        const added = append(id, length, [...inbox], { epoch, consume: read });
        taken.push(...inbox);
        length += inbox.length;
        const [answer] = await journal.append(name, [added]);
        if (answer?.kind !== "ok") throw new Error(`the append is ${answer?.kind}`);
        ({ inbox } = answer);
        if (inbox.length > 0) continue;
        await sleep(0);
        const parking = { token: claim.token, epoch, generation, read, until: Number.POSITIVE_INFINITY };
        if (taken.length === SENDERS * ITEMS || (await journal.park(name, id, parking)) === "parked") break;
        inbox = await journal.readInbox(name, id, read, 100);
      }
      claim.leave();
    }
  };
  const send = (sender: number) => async (): Promise<void> => {
    for (let item = 0; item < ITEMS; item++) {
      // So many iterations, that deliveries fall between any two steps of the owner.
      for (let turns = (seed * (sender + 1) + item) % 13; turns > 0; turns--) await sleep(0);
      await journal.deliver(name, id, [`"${sender}.${item}"`]);
    }
  };
  await gather([own, ...Array.from({ length: SENDERS }, (_, n) => send(n))]);
  const sent = Array.from({ length: SENDERS }, (_, n) =>
    Array.from({ length: ITEMS }, (_each, m) => `"${n}.${m}"`),
  );
  expect(taken.toSorted()).toEqual(sent.flat().toSorted());
  expect(await journal.read(name, id, 0, 100)).toEqual(taken);
  if (engine.now() - begun > SOON_MS) throw new Error("a wake was lost");
  await lane.close();
}

test("a run that parks while items come reads each once, in every order of the tasks", async () => {
  let seed = 0;
  expect(await explore(() => parkWhileItemsCome(seed++), { seeds: 500 })).toBe(500);
});
