import { describe, expect, it } from "vitest";
import { array, assert, constantFrom, property } from "fast-check";
import { CallQueue } from "../src/pool/call-queue.ts";

interface Item {
  priority: number;
  isWaiting: boolean;
  passed: number;
  id: number;
}
const item = (id: number, priority = 0): Item => ({
  id,
  priority,
  isWaiting: false,
  passed: 0,
});

describe("CallQueue", () => {
  it("is first come, first served within a priority, whatever is removed and put back", () => {
    const steps = array(constantFrom("push", "take", "remove", "putBack"), { maxLength: 200 });
    assert(
      property(steps, (actions) => {
        const queue = new CallQueue<Item>();
        let model: Item[] = [];
        let taken: Item[] = [];
        let id = 0;
        for (const action of actions) {
          if (action === "push") {
            const next = item(id++);
            queue.push(next);
            model.push(next);
          } else if (action === "take") {
            const got = queue.take();
            expect(got).toBe(model.shift());
            if (got) taken.push(got);
          } else if (action === "remove" && model.length > 0) {
            const gone = model[Math.floor(model.length / 2)]!;
            queue.remove(gone);
            model = model.filter((other) => other !== gone);
          } else if (action === "putBack") {
            queue.putBack(taken);
            model = [...taken, ...model];
            taken = [];
          }
          expect(queue.size).toBe(model.length);
        }
        expect(queue.clear()).toEqual(model);
      }),
    );
  });

  it("takes higher priorities first", () => {
    const queue = new CallQueue<Item>();
    for (const [id, priority] of [0, 5, -1, 5, 0].entries()) queue.push(item(id, priority));
    expect(queue.clear().map((one) => one.id)).toEqual([1, 3, 0, 4, 2]);
  });

  it("keeps the turn of a call that is put back", () => {
    const queue = new CallQueue<Item>();
    queue.push(item(-1, 0));
    for (let id = 1; id <= 40; id++) queue.push(item(id, 1));
    const taken = Array.from({ length: 17 }, () => queue.take()!);
    expect(taken.map(({ id }) => id)).toEqual([...Array.from({ length: 16 }, (_, n) => n + 1), -1]);
    queue.putBack(taken.slice(-1));
    expect(queue.take()!.id).toBe(-1);
  });

  it("starves nobody: a lower priority has its turn after 16 of higher ones", () => {
    const queue = new CallQueue<Item>();
    for (const id of [-1, -2]) queue.push(item(id, 0));
    const order: number[] = [];
    for (let id = 1; id <= 40; id++) {
      queue.push(item(id, 1));
      queue.push(item(id + 100, 1));
      order.push(queue.take()!.id);
    }
    expect(order.indexOf(-1)).toBe(16);
    expect(order.indexOf(-2)).toBe(33);
  });
});
