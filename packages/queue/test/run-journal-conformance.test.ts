import { openEngine } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { JOURNAL_PAGE, KEPT_KEYS, MAX_PARKED_MS, MAX_UNREAD } from "../src/contract/run-journal.ts";
import { engines } from "./engines.ts";
import { append, dataOf, laneTest } from "./journal-lane.ts";

const DAY = 86_400_000;
const NEVER = Number.POSITIVE_INFINITY;
const LOST = { kind: "lost" };
const ok = (unread = 0, inbox: string[] = []): object => ({ kind: "ok", unread, inbox });
const texts = (count: number, from = 0): string[] => Array.from({ length: count }, (_, n) => `"${from + n}"`);

describe.each(engines)("the journal on $name", ({ name: engineName, test: engineTest }) => {
  const test = laneTest(engineTest);

  test("a first start appends without an opening, and the next owner reads it", async ({ lane }) => {
    const { journal, name } = lane;
    const first = await lane.started();
    expect(await journal.head(name, first.id)).toBeUndefined();
    expect(await journal.append(name, [append(first.id, 0, ['"a"', '"b"'], { view: '"view"' })])).toEqual([
      ok(),
    ]);
    const second = await lane.lapse(first);
    expect(await journal.open(name, second.id, second.token)).toEqual({
      epoch: 1,
      generation: 0,
      length: 2,
      read: 0,
      unread: 0,
      deaths: 1,
      view: '"view"',
      entries: ['"a"', '"b"'],
      inbox: [],
    });
    expect(await journal.view(name, [second.id, "workflow.none"])).toEqual(['"view"', undefined]);
    second.end();
  });

  test("only the holder of the lock opens a run, and each opening has an epoch of its own", async ({
    lane,
  }) => {
    const { journal, name } = lane;
    const first = await lane.started();
    expect(await journal.open(name, first.id, "other:1")).toBeUndefined();
    expect(await journal.open(name, "workflow.none", first.token)).toBeUndefined();
    expect(await journal.open(name, first.id, first.token)).toMatchObject({ epoch: 1, deaths: 0 });
    // As after a lost answer.
    expect(await journal.open(name, first.id, first.token)).toMatchObject({ epoch: 1, deaths: 0 });
    const second = await lane.lapse(first);
    expect(await journal.open(name, first.id, first.token)).toBeUndefined();
    expect(await journal.open(name, second.id, second.token)).toMatchObject({ epoch: 2 });
    second.end();
  });

  test("of two owners, the one that was opened first is lost, and no position is written twice", async ({
    lane,
  }) => {
    const { journal, name } = lane;
    const first = await lane.started();
    const { id } = first;
    await journal.open(name, id, first.token);
    expect(await journal.append(name, [append(id, 0, ['"1"'], { epoch: 1 })])).toEqual([ok()]);
    const second = await lane.lapse(first);
    // Nobody has opened the run since, so the position alone decides.
    expect(await journal.append(name, [append(id, 1, ['"2"'], { epoch: 1 })])).toEqual([ok()]);
    expect((await journal.open(name, id, second.token))?.entries).toEqual(['"1"', '"2"']);
    expect(await journal.append(name, [append(id, 2, ['"old"'], { epoch: 1 })])).toEqual([LOST]);
    expect(await journal.append(name, [append(id, 2, ['"new"'], { epoch: 2 })])).toEqual([ok()]);
    expect(await journal.append(name, [append(id, 2, ['"again"'], { epoch: 2 })])).toEqual([LOST]);
    expect(
      await journal.park(name, id, { token: first.token, epoch: 1, generation: 0, read: 0, until: NEVER }),
    ).toBe("lost");
    expect(
      await journal.continueAs(name, id, {
        token: first.token,
        epoch: 1,
        generation: 0,
        consume: 0,
        data: dataOf(1),
      }),
    ).toBe(false);
    expect(await journal.read(name, id, 0, 10)).toEqual(['"1"', '"2"', '"new"']);
    second.end();
  });

  test("two owners that append at once write each position once", async ({ lane, engine }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    const other = openEngine(engine);
    await other.connect();
    const written: string[] = [];
    for (let at = 0; at < 100; at++) {
      const both = await Promise.all([
        journal.append(name, [append(id, at, [`"a${at}"`])]),
        other.journal.append(name, [append(id, at, [`"b${at}"`])]),
      ]);
      const [a, b] = both.flat();
      expect([a!.kind, b!.kind].toSorted()).toEqual(["lost", "ok"]);
      written.push(a!.kind === "ok" ? `"a${at}"` : `"b${at}"`);
    }
    expect(await journal.read(name, id, 0, 100)).toEqual(written);
    await other.close();
    end();
  });

  test("an append whose answer was lost is stored once", async ({ lane }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    await journal.deliver(name, id, ['"x"', '"y"']);
    const sent = append(id, 0, ['"1"', '"2"'], { consume: 1 });
    expect(await journal.append(name, [sent])).toEqual([ok(1, ['"y"'])]);
    expect(await journal.append(name, [sent])).toEqual([ok(1, ['"y"'])]);
    const next = append(id, 2, ['"3"'], { consume: 1 });
    // A part of one call, and the repeat of an earlier append after a later one.
    expect(await journal.append(name, [next, sent, next])).toEqual([
      ok(1, ['"y"']),
      ok(1, ['"y"']),
      ok(1, ['"y"']),
    ]);
    expect(await journal.read(name, id, 0, 10)).toEqual(['"1"', '"2"', '"3"']);
    expect(await journal.head(name, id)).toMatchObject({ length: 3, read: 1, unread: 1 });
    end();
  });

  test("many runs append in one call, and each has an answer of its own", async ({ lane }) => {
    const { journal, name } = lane;
    const claims = await Promise.all(Array.from({ length: 300 }, () => lane.started()));
    const appends = claims.map(({ id }, n) => append(id, n === 7 ? 1 : 0, texts(2, n)));
    appends.splice(3, 0, append("workflow.none", 0, ['"1"']));
    const answers = await journal.append(name, appends);
    expect(answers[3]).toEqual(LOST);
    expect(answers[8]).toMatchObject({ kind: "short", length: 0 });
    expect(answers.filter(({ kind }) => kind === "ok")).toHaveLength(299);
    expect(await journal.read(name, claims[299]!.id, 0, 5)).toEqual(texts(2, 299));
    for (const { end } of claims) end();
  });

  test("appends to one run in one call follow each other", async ({ lane }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    const large = `"${"x".repeat(700_000)}"`;
    const parts = [
      append(id, 0, texts(3_000)),
      append(id, 3_000, [large]),
      append(id, 3_001, [large, '"end"']),
    ];
    expect(await journal.append(name, parts)).toEqual([ok(), ok(), ok()]);
    expect(await journal.head(name, id)).toMatchObject({ length: 3_003 });
    expect(await journal.read(name, id, 0, 10_000)).toEqual(texts(JOURNAL_PAGE));
    expect(await journal.read(name, id, 2_998, 3)).toEqual([...texts(2, 2_998), large]);
    expect(await journal.read(name, id, 3_002, 3)).toEqual(['"end"']);
    expect(await journal.read(name, id, 3_003, 3)).toEqual([]);
    end();
  });

  test("an owner whose engine lost entries stores them again", async ({ lane }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    await journal.append(name, [append(id, 0, ['"1"', '"2"'])]);
    await journal.deliver(name, id, ['"x"']);
    // The engine has forgotten two entries, and two openings.
    const owner = { epoch: 2, consume: 1 };
    expect(await journal.append(name, [append(id, 4, ['"5"'], owner)])).toEqual([
      { kind: "short", generation: 0, length: 2, last: '"2"', read: 0, unread: 1, inbox: ['"x"'] },
    ]);
    expect(await journal.append(name, [append(id, 2, ['"old"'], { epoch: 1 })])).toEqual([LOST]);
    expect(await journal.append(name, [append(id, 2, ['"3"', '"4"', '"5"'], owner)])).toEqual([ok()]);
    expect(await journal.read(name, id, 0, 10)).toEqual(['"1"', '"2"', '"3"', '"4"', '"5"']);
    // It has forgotten the next generation, too.
    expect(await journal.append(name, [append(id, 0, ['"n"'], { ...owner, generation: 1 })])).toMatchObject([
      { kind: "short", generation: 0, length: 5, last: '"5"' },
    ]);
    end();
  });

  test("an item is consumed by the append that names it, and not before", async ({ lane }) => {
    const { journal, name } = lane;
    let owner = await lane.started();
    const { id } = owner;
    expect(await journal.deliver(name, id, ['"a"', '"b"', '"c"'])).toEqual({ kind: "stored", unread: 3 });
    owner = await lane.lapse(owner);
    expect(await journal.open(name, id, owner.token)).toMatchObject({
      read: 0,
      inbox: ['"a"', '"b"', '"c"'],
    });
    owner = await lane.lapse(owner);
    expect(await journal.open(name, id, owner.token)).toMatchObject({
      read: 0,
      inbox: ['"a"', '"b"', '"c"'],
    });
    expect(
      await journal.append(name, [append(id, 0, ['"took a and b"'], { epoch: 2, consume: 2, known: 3 })]),
    ).toEqual([ok(1)]);
    owner = await lane.lapse(owner);
    expect(await journal.open(name, id, owner.token)).toMatchObject({ read: 2, unread: 1, inbox: ['"c"'] });
    await journal.deliver(name, id, ['"d"', '"e"']);
    expect(await journal.readInbox(name, id, 0, 2)).toEqual(['"c"', '"d"']);
    expect(await journal.readInbox(name, id, 3, 10)).toEqual(['"d"', '"e"']);
    expect(await journal.append(name, [append(id, 1, [], { epoch: 3, consume: 4 })])).toEqual([
      ok(1, ['"e"']),
    ]);
    expect(await journal.append(name, [append(id, 1, [], { epoch: 3, consume: 4 })])).toEqual([
      ok(1, ['"e"']),
    ]);
    expect(await journal.append(name, [append(id, 1, [], { epoch: 3, consume: 5 })])).toEqual([ok()]);
    expect(await journal.head(name, id)).toMatchObject({ read: 5, unread: 0, length: 1 });
    owner.end();
  });

  test("a delivery with a key is stored once", async ({ lane }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    expect(await journal.deliver(name, id, ['"a"'], "key-0")).toEqual({ kind: "stored", unread: 1 });
    expect(await journal.deliver(name, id, ['"a"'], "key-0")).toEqual({ kind: "stored", unread: 1 });
    await journal.append(name, [append(id, 0, ['"took a"'], { consume: 1 })]);
    expect(await journal.deliver(name, id, ['"a"'], "key-0")).toEqual({ kind: "stored", unread: 0 });
    for (let n = 1; n < KEPT_KEYS; n++) await journal.deliver(name, id, [`"${n}"`], `key-${n}`);
    expect(await journal.deliver(name, id, ['"a"'], "key-0")).toMatchObject({ unread: KEPT_KEYS - 1 });
    await journal.deliver(name, id, ['"last"'], "key-last");
    expect(await journal.deliver(name, id, ['"a"'], "key-0")).toMatchObject({ unread: KEPT_KEYS + 1 });
    end();
  });

  test("a full inbox refuses items, and takes them once there is room", async ({ lane }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    expect(await journal.deliver(name, id, texts(MAX_UNREAD - 1))).toMatchObject({ kind: "stored" });
    expect(await journal.deliver(name, id, texts(2), "pair")).toEqual({ kind: "full" });
    expect(await journal.deliver(name, id, texts(1))).toEqual({ kind: "stored", unread: MAX_UNREAD });
    expect(await journal.deliver(name, id, texts(1))).toEqual({ kind: "full" });
    const answers = await journal.append(name, [append(id, 0, ['"took"'], { consume: 2 })]);
    expect(answers).toEqual([ok(MAX_UNREAD - 2, texts(JOURNAL_PAGE, 2))]);
    expect(await journal.deliver(name, id, texts(2), "pair")).toEqual({ kind: "stored", unread: MAX_UNREAD });
    end();
  });

  test("a delivery finds no job, or an ended one", async ({ lane }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    expect(await journal.deliver(name, "workflow.none", ['"x"'])).toEqual({ kind: "gone" });
    await journal.append(name, [append(id, 0, ['"1"'])]);
    end();
    await expect.poll(() => lane.state(id)).toBe("completed");
    expect(await journal.deliver(name, id, ['"x"'])).toEqual({ kind: "ended" });
    expect(await journal.append(name, [append(id, 1, ['"2"'])])).toEqual([LOST]);
    // The answer to the last append was lost, and the end was stored.
    expect(await journal.append(name, [append(id, 0, ['"1"'])])).toEqual([ok()]);
    expect(await journal.read(name, id, 0, 5)).toEqual(['"1"']);
  });

  test("the worker that has a run is notified of deliveries", async ({ lane, engine }) => {
    const { journal, name, workerId } = lane;
    const { id, end } = await lane.started();
    const sender = openEngine(engine);
    await sender.connect();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const stop = journal.onDelivery(workerId, resolve);
    // A notification may be lost, as while the connection for it is opened.
    await expect
      .poll(async () => {
        await sender.journal.deliver(name, id, ['"x"']);
        return await Promise.race([promise, new Promise((next) => setImmediate(next))]);
      })
      .toEqual({ lane: name, id });
    stop();
    await sender.close();
    end();
  });

  test("a run is parked as a delayed job, and spends no attempt", async ({ lane }) => {
    const { journal, name, engine } = lane;
    const claim = await lane.started();
    const { id, token } = claim;
    const parked = { token, epoch: 0, generation: 0, read: 0, until: engine.now() + DAY };
    await journal.append(name, [append(id, 0, ['"1"'])]);
    expect(await journal.park(name, id, parked)).toBe("parked");
    claim.leave();
    expect(await lane.state(id)).toBe("delayed");
    expect(await journal.park(name, id, parked)).toBe("lost");
    const queue = engine.openLane(name);
    expect(await queue.getJobCounts("delayed", "active", "waiting")).toMatchObject({ delayed: 1 });
    expect(await queue.getJob(id)).toMatchObject({ attemptsMade: 0 });
    await queue.close();
    expect(await engine.lookup(name, [id])).toEqual([{ kind: "pending" }]);
    expect(await journal.deliver(name, id, ['"x"'])).toEqual({ kind: "stored", unread: 1 });
    const again = await lane.claim();
    expect(again.job).toMatchObject({ id, attemptsMade: 0, attemptsStarted: 2 });
    expect(await journal.open(name, id, again.token)).toMatchObject({ deaths: 0, inbox: ['"x"'], length: 1 });
    again.end();
  });

  test("a parked run goes on at its time", async ({ lane }) => {
    const { journal, name, engine } = lane;
    const first = await lane.started();
    const terms = { token: first.token, epoch: 0, generation: 0, read: 0 };
    expect(await journal.park(name, first.id, { ...terms, until: engine.now() + 50 })).toBe("parked");
    first.leave();
    const second = await lane.claim();
    expect(second.id).toBe(first.id);
    // A time of the past counts as now.
    expect(await journal.park(name, first.id, { ...terms, token: second.token, until: 1 })).toBe("parked");
    second.leave();
    const third = await lane.claim();
    expect(third.id).toBe(first.id);
    third.end();
  });

  test("a run is parked for a year at most", async ({ lane }) => {
    const { journal, name, engine } = lane;
    const claim = await lane.started();
    const { id, token } = claim;
    expect(await journal.park(name, id, { token, epoch: 0, generation: 0, read: 0, until: NEVER })).toBe(
      "parked",
    );
    claim.leave();
    expect(await lane.state(id)).toBe("delayed");
    // BullMQ's own queue shows the first shard alone.
    if (!engine.isLocal && !engineName.includes("shards")) {
      const queue = engine.openQueue(name);
      const [job] = await queue.getDelayed();
      expect(job?.id).toBe(id);
      expect(job!.delay / MAX_PARKED_MS).toBeCloseTo(1, 3);
      await queue.close();
    }
  });

  test("a run with news is not parked", async ({ lane }) => {
    const { journal, name } = lane;
    const claim = await lane.started();
    const { id, token } = claim;
    const terms = { token, epoch: 0, generation: 0, until: NEVER };
    await journal.deliver(name, id, ['"x"']);
    expect(await journal.park(name, id, { ...terms, read: 0 })).toBe("news");
    expect(await lane.state(id)).toBe("active");
    expect(await journal.append(name, [append(id, 0, ['"took x"'], { consume: 1 })])).toEqual([ok()]);
    expect(await journal.park(name, id, { ...terms, read: 1 })).toBe("parked");
    claim.leave();
  });

  test("however park and deliver meet, no run stays parked with unread items", async ({ lane, engine }) => {
    const { journal, name } = lane;
    const sender = openEngine(engine);
    await sender.connect();
    let owner = await lane.started();
    const { id } = owner;
    const seen: string[] = [];
    const counts = { parked: 0, news: 0, lost: 0 };
    const ROUNDS = 300;
    for (let round = 0; round < ROUNDS; round++) {
      const run = await journal.open(name, id, owner.token);
      seen.push(...run!.inbox);
      const { epoch, generation, length } = run!;
      const consume = run!.read + run!.unread;
      await journal.append(name, [append(id, length, run!.inbox.slice(), { epoch, consume })]);
      const deliver = (): Promise<unknown> =>
        sender.journal.deliver(name, id, [`"${round}"`], `key-${round}`);
      const delivery = round % 2 === 0 ? deliver() : undefined;
      const terms = { token: owner.token, epoch, generation, read: consume, until: NEVER };
      const parking = journal.park(name, id, terms);
      await (delivery ?? deliver());
      const answer = await parking;
      counts[answer]++;
      if (answer === "parked") {
        owner.leave();
        owner = await lane.claim();
      } else {
        expect(answer).toBe("news");
        owner = await lane.lapse(owner);
      }
    }
    const last = await journal.open(name, id, owner.token);
    expect([...seen, ...last!.inbox]).toEqual(texts(ROUNDS));
    expect(counts.lost).toBe(0);
    owner.end();
    await sender.close();
  });

  test("a parked run whose sender died before the promotion is found by a sweep", async ({ lane }) => {
    const { journal, name } = lane;
    const claim = await lane.started();
    const { id } = claim;
    await journal.deliver(name, id, ['"x"']);
    // As if the promotion had not happened: BullMQ's command does not look at the inbox.
    await claim.job.moveToDelayed(Date.now() + DAY, claim.token);
    claim.leave();
    expect(await lane.state(id)).toBe("delayed");
    expect(await journal.sweep(name)).toBe(1);
    const again = await lane.claim();
    expect(await journal.open(name, id, again.token)).toMatchObject({ inbox: ['"x"'] });
    // A resident run with unread items is its owner's.
    expect(await journal.sweep(name)).toBe(0);
    await journal.append(name, [append(id, 0, ['"took"'], { epoch: 1, consume: 1 })]);
    await journal.park(name, id, { token: again.token, epoch: 1, generation: 0, read: 1, until: NEVER });
    again.leave();
    expect(await journal.sweep(name)).toBe(0);
    expect(await lane.state(id)).toBe("delayed");
  });

  test("a run that is delayed before its first start keeps its delay", async ({ lane }) => {
    const { journal, name } = lane;
    await lane.add("workflow.later", DAY);
    expect(await journal.deliver(name, "workflow.later", ['"x"'])).toEqual({ kind: "stored", unread: 1 });
    expect(await journal.sweep(name)).toBe(0);
    expect(await lane.state("workflow.later")).toBe("delayed");
  });

  test("the deaths of owners are counted until the run makes progress", async ({ lane }) => {
    const { journal, name } = lane;
    let owner = await lane.started();
    const { id } = owner;
    const deaths: number[] = [];
    for (let life = 0; life < 4; life++) {
      const run = await journal.open(name, id, owner.token);
      deaths.push(run!.deaths);
      owner = await lane.lapse(owner);
    }
    const opened = await journal.open(name, id, owner.token);
    await journal.append(name, [append(id, 0, ['"1"'], { epoch: opened!.epoch })]);
    owner = await lane.lapse(owner);
    const next = await journal.open(name, id, owner.token);
    deaths.push(next!.deaths);
    await journal.release(name, id, next!.epoch - 1); // The release of an earlier owner, which comes late.
    owner = await lane.lapse(owner);
    const later = await journal.open(name, id, owner.token);
    deaths.push(later!.deaths);
    await journal.release(name, id, later!.epoch);
    owner = await lane.lapse(owner);
    deaths.push((await journal.open(name, id, owner.token))!.deaths);
    expect(deaths).toEqual([0, 1, 2, 3, 1, 2, 2]);
    owner.end();
  });

  test("a continued run begins an empty log, and keeps its unread items", async ({ lane }) => {
    const { journal, name } = lane;
    let owner = await lane.started();
    const { id } = owner;
    await journal.open(name, id, owner.token);
    await journal.deliver(name, id, ['"a"', '"b"']);
    await journal.append(name, [append(id, 0, ['"1"'], { epoch: 1, view: '"v"' })]);
    const next = {
      token: owner.token,
      epoch: 1,
      generation: 0,
      consume: 1,
      data: dataOf("second"),
      name: "other",
    };
    expect(await journal.continueAs(name, id, { ...next, token: "other:1" })).toBe(false);
    expect(await journal.continueAs(name, id, { ...next, generation: 3 })).toBe(false);
    expect(await journal.continueAs(name, id, next)).toBe(true);
    expect(await journal.append(name, [append(id, 1, ['"late"'], { epoch: 1 })])).toEqual([LOST]);
    expect(
      await journal.append(name, [append(id, 0, ['"2"'], { epoch: 1, generation: 1, consume: 1 })]),
    ).toEqual([ok(1, ['"b"'])]);
    // As after a lost answer: nothing of the new generation is lost.
    expect(await journal.continueAs(name, id, next)).toBe(true);
    expect(await journal.head(name, id)).toEqual({
      epoch: 1,
      generation: 1,
      length: 1,
      read: 1,
      unread: 1,
      deaths: 0,
      view: '"v"',
    });
    owner = await lane.lapse(owner);
    expect(owner.job).toMatchObject({ name: "other", data: dataOf("second") });
    expect(await journal.open(name, id, owner.token)).toMatchObject({
      entries: ['"2"'],
      inbox: ['"b"'],
      generation: 1,
    });
    owner.end();
  });

  test("an opening reads from a position of the cache", async ({ lane }) => {
    const { journal, name } = lane;
    const owner = await lane.started();
    await journal.append(name, [append(owner.id, 0, texts(5))]);
    expect(await journal.open(name, owner.id, owner.token, 3)).toMatchObject({
      length: 5,
      entries: texts(2, 3),
    });
    expect(await journal.open(name, owner.id, owner.token, 5)).toMatchObject({ length: 5, entries: [] });
    owner.end();
  });

  test("a journal goes with its job, and the id can be used again", async ({ lane }) => {
    const { journal, name, engine } = lane;
    const id = "workflow.again";
    await lane.add(id);
    const first = await lane.claim();
    await journal.open(name, id, first.token);
    await journal.deliver(name, id, ['"x"'], "key");
    await journal.append(name, [append(id, 0, ['"1"'], { epoch: 1 })]);
    await journal.forget(name, [id]); // The job is there.
    expect(await journal.head(name, id)).toMatchObject({ length: 1, unread: 1 });
    first.end();
    await expect.poll(() => lane.state(id)).toBe("completed");
    await expect
      .poll(async () => {
        await engine.removeExpired(name, engine.now() + 30 * DAY);
        return await lane.state(id);
      })
      .toBe("unknown");
    expect(await journal.head(name, id)).toBeUndefined();
    expect(await journal.append(name, [append(id, 1, ['"2"'], { epoch: 1 })])).toEqual([LOST]);
    await journal.forget(name, [id]);
    await lane.add(id);
    const second = await lane.claim();
    expect(await journal.append(name, [append(id, 0, ['"new"'])])).toEqual([ok()]);
    expect(await journal.deliver(name, id, ['"y"'], "key")).toEqual({ kind: "stored", unread: 1 });
    expect(await journal.read(name, id, 0, 5)).toEqual(['"new"']);
    second.end();
  });
});
