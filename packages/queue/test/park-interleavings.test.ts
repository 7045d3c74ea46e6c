import { expect, test } from "vitest";
import { append, JournalLane } from "./journal-lane.ts";

/** The steps of the owner that park a run, and of two senders. An operation of the journal in memory is one step. */
const SCRIPTS = [["take", "park", "take", "park"], ["deliver a", "deliver b"], ["deliver c"]] as const;

/** Returns all orders of the steps of several scripts, each of which keeps its own order. */
function interleavings(scripts: readonly (readonly string[])[]): string[][] {
  if (scripts.every((script) => script.length === 0)) return [[]];
  return scripts.flatMap((script, n) => {
    if (script.length === 0) return [];
    const [first, ...rest] = script;
    return interleavings(scripts.with(n, rest)).map((order) => [first!].concat(order));
  });
}

/** Executes the steps in one order. Returns the items in the order in which the run has read them. */
async function live(lane: JournalLane, id: string, order: readonly string[]): Promise<readonly string[]> {
  const { journal, name } = lane;
  await lane.add(id);
  let claim = await lane.claim();
  let run = (await journal.open(name, id, claim.token))!;
  const taken: string[] = [];
  let isParked = false;

  const take = async (): Promise<void> => {
    if (isParked) {
      // A parked run without news stays so: only a delivery wakes it.
      if ((await journal.head(name, id))!.unread === 0) return;
      claim = await lane.claim();
      run = (await journal.open(name, id, claim.token))!;
      isParked = false;
    }
    const { read } = (await journal.head(name, id))!;
    const items = await journal.readInbox(name, id, read, 100);
    if (items.length === 0) return;
    const at = taken.length;
    const { epoch } = run;
    await journal.append(name, [append(id, at, items, { epoch, consume: read + items.length })]);
    taken.push(...items);
  };
  const park = async (): Promise<void> => {
    if (isParked) return;
    const { epoch, generation } = run;
    const terms = { token: claim.token, epoch, generation, read: taken.length, until: Infinity };
    const answer = await journal.park(name, id, terms);
    const { unread } = (await journal.head(name, id))!;
    // The look of `park` and the parking are one step: it parks exactly if there is nothing to read.
    expect(answer).toBe(unread > 0 ? "news" : "parked");
    isParked = answer === "parked";
    if (isParked) claim.leave();
  };
  for (const step of order) {
    if (step === "take") await take();
    else if (step === "park") await park();
    else await journal.deliver(name, id, [JSON.stringify(step.at(-1))]);
    const head = (await journal.head(name, id))!;
    // A parked run with news is awake.
    if (isParked) expect((await lane.state(id)) === "delayed").toBe(head.unread === 0);
  }
  await take();
  expect(await journal.read(name, id, 0, 100)).toEqual(taken);
  if (!isParked) claim.end();
  return taken;
}

test("in every order of park and deliver, each item is read once, in the order of its sender", async () => {
  const orders = interleavings(SCRIPTS);
  // 7! / (4! 2! 1!)
  expect(orders).toHaveLength(105);
  const lane = new JournalLane("memory:interleavings");
  await lane.start();
  const states = new Set<string>();
  for (const [n, order] of orders.entries()) {
    // oxlint-disable-next-line no-await-in-loop -- one life after the other
    const taken = await live(lane, `workflow.order-${n}`, order);
    expect(taken.toSorted(), order.join(", ")).toEqual(['"a"', '"b"', '"c"']);
    expect(taken.indexOf('"a"')).toBeLessThan(taken.indexOf('"b"'));
    states.add(taken.join());
  }
  expect(states.size).toBe(3);
  await lane.close();
});
