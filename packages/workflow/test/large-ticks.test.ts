import { expect, test } from "vitest";
import { gather } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { defineWorkflow, step } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { checkReplay, DurableRun } from "@taskloom/workflow/running";
import type { EndRecord, RunHost } from "@taskloom/workflow/running";

const MIB = 1024 * 1024;
const STEPS = 10_000;

const store = defineTask({ name: "store.a.record.of.a.batch" }, (record: unknown) => record);

/** The arguments of each step are a text of this many characters, each of which JSON escapes. */
const stores = defineWorkflow({ name: "stores" }, function* (characters: number) {
  const all = Array.from({ length: STEPS }, (_, i) => step(store, `${i}${'"'.repeat(characters)}`));
  return (yield* gather(all)).length;
});

/**
 * An entry is one value of each engine: a list item of Redis (up to 512 MiB), a text of PostgreSQL (up to 1 GiB), a text
 * of SQLite (up to 953 MiB). Arguments of more than 200 characters are recorded as a hash and their beginning, so the
 * worst entry is far below all of these, and a tick needs no second one.
 */
test.each([
  ["short", 0, MIB],
  ["the longest that are recorded whole", 45, 4 * MIB],
  ["hashed", 1000, 10 * MIB],
])(
  "a tick of 10,000 steps with arguments that are %s is one entry of a few MiB",
  async (_name, characters, most) => {
    const started: number[] = [];
    const host: RunHost = {
      startStep: ({ command }) => started.push(command),
      submit() {},
      cancel() {},
      answer() {},
      log() {},
      warn() {},
    };
    const workflow = stores as unknown as WorkflowDefinition;
    const run = new DurableRun({ workflow, args: [characters], id: "workflow.large", host });
    const first = await run.tick(0, []);
    expect(Buffer.byteLength(first.entry!)).toBeLessThan(most);
    expect(started).toHaveLength(0);
    run.release(1);
    expect(started).toHaveLength(STEPS);
    const ends = started.map((command): EndRecord => [command, 0, command]);
    const last = await run.tick(1, ends);
    expect(last.end).toEqual({ state: "completed", value: STEPS });
    expect(Buffer.byteLength(last.entry!)).toBeLessThan(MIB);
    await checkReplay(workflow, [first.entry!, last.entry!], { id: "workflow.large", args: [characters] });
    run.dispose();
  },
);
