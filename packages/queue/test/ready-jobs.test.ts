import fc from "fast-check";
import { expect, test } from "vitest";
import type { MemoryJob } from "../src/engines/memory/memory-job.ts";
import { ReadyJobs } from "../src/engines/memory/ready-jobs.ts";

const jobOf = (sequence: number, priority: number): MemoryJob =>
  ({ sequence, opts: { priority } }) as MemoryJob;

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("add"), priority: fc.nat(2), late: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("take") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove"), at: fc.nat(50) }) },
);

test("jobs are taken by priority and then by sequence, however they were added and removed", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const ready = new ReadyJobs();
      let model: MemoryJob[] = [];
      let sequence = 0;
      for (const each of steps) {
        if (each.kind === "add" && "priority" in each) {
          // A job that is put back has an earlier sequence than those that were added since.
          const job = jobOf(++sequence - each.late - 0.5 * (sequence % 2), each.priority);
          ready.add(job);
          model = [...model, job].toSorted(
            (a, b) => a.opts.priority! - b.opts.priority! || a.sequence - b.sequence,
          );
        } else if (each.kind === "take") {
          expect(ready.take()?.sequence).toBe(model.shift()?.sequence);
        } else if ("at" in each && model.length > 0) {
          const [job] = model.splice(each.at % model.length, 1);
          ready.remove(job!);
        }
        expect(ready.isEmpty).toBe(model.length === 0);
      }
    }),
  );
});

test("the places of thousands of taken jobs are given back", () => {
  const ready = new ReadyJobs();
  for (let n = 0; n < 5_000; n++) ready.add(jobOf(n, 0));
  for (let n = 0; n < 4_999; n++) expect(ready.take()?.sequence).toBe(n);
  ready.add(jobOf(-1, 0));
  expect(ready.take()?.sequence).toBe(-1);
  expect(ready.take()?.sequence).toBe(4_999);
  expect(ready.take()).toBeUndefined();
});
