import { expect, test } from "vitest";
import { RunInbox } from "../src/lane/run-inbox.ts";

const signal = (payload: number, key?: string): string =>
  JSON.stringify(key === undefined ? ["s", "note", payload] : ["s", "note", payload, key]);

/** Returns an inbox whose run has consumed these items. */
function consumed(...items: string[]): RunInbox {
  const inbox = new RunInbox(0);
  inbox.receive(0, items);
  expect(inbox.take()).toEqual(items);
  return inbox;
}

test("after a loss, an equal signal is a new one, and a stored one is not", () => {
  const [a, b, again] = [signal(7, "a"), signal(7, "b"), signal(7, "again")] as const;
  const inbox = consumed(a, b);
  inbox.rewind(0, [a, again]);
  expect([inbox.read, inbox.known, inbox.hasNews]).toEqual([1, 2, true]);
  expect(inbox.take()).toEqual([again]);
  expect([inbox.read, inbox.hasNews]).toEqual([2, false]);
});

test("a lost signal that is sent again behind others is consumed, and not received twice", () => {
  const [a, b, c] = [signal(1, "a"), signal(2, "b"), signal(3, "c")] as const;
  const inbox = consumed(a, b);
  inbox.rewind(0, [c]);
  inbox.receive(0, [c, b]);
  inbox.receive(2, [a]);
  expect(inbox.known).toBe(3);
  expect(inbox.take()).toEqual([c]);
  expect(inbox.read).toBe(3);
  inbox.receive(3, [b]);
  expect([inbox.read, inbox.hasNews]).toEqual([4, false]);
});

test("a second loss counts from the items of the first", () => {
  const [a, b, c] = [signal(1, "a"), signal(2, "b"), signal(3, "c")] as const;
  const inbox = consumed(a, b);
  inbox.rewind(0, [a, c]);
  expect(inbox.take()).toEqual([c]);
  inbox.rewind(1, [c]);
  expect([inbox.read, inbox.hasNews]).toEqual([2, false]);
  inbox.rewind(0, [a]);
  expect([inbox.read, inbox.hasNews]).toEqual([1, false]);
  inbox.receive(1, [signal(9, "d")]);
  expect(inbox.take()).toEqual([signal(9, "d")]);
});

test("an item without a key is the run's in its old place", () => {
  const inbox = consumed(signal(1), signal(2));
  inbox.rewind(0, [signal(1), signal(1)]);
  expect(inbox.take()).toEqual([signal(1)]);
  const odd = consumed("no JSON", "7");
  odd.rewind(0, ["no JSON", "8", "7"]);
  expect(odd.take()).toEqual(["8", "7"]);
});
