import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { Turns } from "../src/service/http/turns.ts";
import { Waits } from "../src/service/http/waits.ts";

const gone = (): EventEmitter & { closed: boolean } => Object.assign(new EventEmitter(), { closed: true });

test("a client that has left before its turn holds no turn", async () => {
  const turns = new Turns(1);
  await turns.enter(gone());
  await turns.enter(gone());
  expect(await turns.take(async () => "free")).toBe("free");
});

test("a client that has left before its wait holds no place, and its wait is over", () => {
  const waits = new Waits(1);
  expect(waits.enter(gone()).over.aborted).toBe(true);
  const wait = waits.enter(new EventEmitter());
  expect(wait.over.aborted).toBe(false);
  expect(() => waits.enter(new EventEmitter())).toThrow("1 event streams and waiting requests are open");
  wait.leave();
});
