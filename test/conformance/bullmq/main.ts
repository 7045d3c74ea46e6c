/**
 * `pnpm conformance:bullmq --seed S --count N` runs N random sequences of operations through BullMQ's own commands and
 * through a driver, and compares the answers and all stored data.
 *
 *   --seed S    the seed (1)
 *   --count N   the number of sequences (300)
 *   --from I    the index of the first sequence (0)
 *   --steps     compares the data after each operation, and not only at the end of a sequence
 *   --keep      reports every difference instead of stopping at the first
 *   --url URL   the Redis (redis://127.0.0.1:6379); the keys have a random prefix and are deleted. With a database of
 *               PostgreSQL, its schemas "single" and "turns" are created and dropped. `embedded:` compares two files of
 *               SQLite in a folder of their own
 */
import { parseArgs } from "node:util";
import { compare } from "./compare.ts";
import { postgresSides } from "./postgres-sides.ts";
import { redisSides } from "./redis-sides.ts";
import { sqliteSides } from "./sqlite-sides.ts";

const { values: options } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "300" },
    from: { type: "string", default: "0" },
    steps: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    url: { type: "string", default: "redis://127.0.0.1:6379" },
  },
});
const [seed, count, from] = [Number(options.seed), Number(options.count), Number(options.from)];
const started = performance.now();
const sides = await sidesOf(options.url);
let differences = 0;
for (let index = from; index < from + count; index++) {
  const found = await compare(sides, { seed, index, isStepwise: options.steps });
  if (found === undefined) continue;
  differences++;
  process.stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
  if (!options.keep) break;
}
await sides.close();
const seconds = ((performance.now() - started) / 1_000).toFixed(1);
process.stdout.write(
  `seed ${seed}: ${count} sequences from ${from}: ${differences} with differences (${seconds} s)\n`,
);
process.exitCode = differences > 0 ? 1 : 0;

async function sidesOf(url: string): Promise<ReturnType<typeof redisSides>> {
  if (url.startsWith("postgres")) return await postgresSides(url);
  return url.startsWith("embedded:") ? await sqliteSides() : redisSides(url);
}
