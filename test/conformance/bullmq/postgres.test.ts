import pg from "pg";
import { afterAll, beforeAll, expect } from "vitest";
import { postgresTest as test } from "../../support/postgres.ts";
import { programOf } from "./postgres-program.ts";
import { clock, createSchema } from "./postgres-side.ts";
import type { Schema } from "./postgres-side.ts";

const SEQUENCES = Number(process.env["TASKLOOM_SEQUENCES"] ?? 100);
const FIRST_SEED = Number(process.env["TASKLOOM_SEED"] ?? 1);

const { now } = Date;
beforeAll(() => {
  Date.now = () => clock.now;
});
afterAll(() => {
  Date.now = now;
});

/** Receives the notifications of BullMQ's channels. */
async function listenTo(url: string): Promise<{ heard(): Promise<readonly string[]>; close(): Promise<void> }> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  await client.query("LISTEN bullmq_jobs");
  await client.query("LISTEN bullmq_events");
  let names = new Set<string>();
  client.on("notification", ({ channel, payload }) => names.add(`${channel} ${payload}`));
  return {
    async heard() {
      await client.query("SELECT 1"); // The server sends all earlier notifications before its answer.
      const all = [...names].toSorted();
      names = new Set();
      return all;
    },
    close: () => client.end(),
  };
}

async function compareSequence(seed: number, schemas: readonly Schema[], url: string): Promise<void> {
  const listener = await listenTo(url);
  const start = clock.now;
  let end = start;
  const results: unknown[][] = [];
  for (const schema of schemas) {
    clock.now = start;
    const side = await schema.open(`queue-${seed}`);
    const steps: unknown[] = [];
    for (const operation of programOf(seed)) {
      const answer = await side.apply(operation);
      steps.push({ operation, answer, heard: await listener.heard(), rows: await side.snapshot() });
    }
    await side.close();
    results.push(steps);
    end = clock.now;
  }
  clock.now = end;
  await listener.close();
  const [single = [], turns = []] = results;
  for (const [index, step] of single.entries())
    expect(turns[index], `seed ${seed}, operation ${index}`).toEqual(step);
}

test("a driver stores, answers and notifies exactly as BullMQ's own commands", { timeout: 600_000 }, async ({
  postgres,
}) => {
  const schemas = [await createSchema("BullMQ", postgres), await createSchema("driver", postgres)];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEQUENCES; seed++) await compareSequence(seed, schemas, postgres);
  for (const schema of schemas) await schema.close();
});
