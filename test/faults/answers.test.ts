import { setImmediate } from "node:timers/promises";
import * as fc from "fast-check";
import { Redis } from "ioredis";
import type { ChainableCommander, RedisOptions } from "ioredis";
import { expect } from "vitest";
import { BatchingRedis } from "../../packages/queue/src/engines/redis/batching-redis.ts";
import { faultTest as test, full, measured } from "./support/fault-test.ts";
import { ConnectionKiller } from "./support/connection-killer.ts";
import { MortalRedis } from "./support/mortal-redis.ts";
import type { Life } from "./support/mortal-redis.ts";

/** A history fails if it takes longer than 30 s, because its answer is then lost. */
const simulated = full ? 10_000 : 400;
const real = full ? 2_000 : 60;

interface Operation {
  readonly kind: "command" | "pipeline" | "multi";
  readonly size: number;
}
/** The operations of one turn, and the number of iterations of the event loop before the next turn. */
type Turn = readonly [operations: readonly Operation[], pause: number];

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Operation>({ kind: "command", size: 1 }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom<Operation["kind"]>("pipeline", "multi"),
      size: fc.integer({ min: 1, max: 12 }),
    }),
  },
);
const turns: fc.Arbitrary<Turn[]> = fc.array(
  fc.tuple(fc.array(operation, { minLength: 1, maxLength: 14 }), fc.integer({ min: 0, max: 6 })),
  { minLength: 1, maxLength: 8 },
);
const lives: fc.Arbitrary<Life[]> = fc.array(
  fc
    .record({
      executes: fc.integer({ min: 1, max: 40 }),
      lost: fc.integer({ min: 0, max: 40 }),
      swallows: fc.integer({ min: 0, max: 1 }),
      noticedAfter: fc.integer({ min: 0, max: 5 }),
    })
    .map(({ executes, lost, swallows, noticedAfter }) => ({
      executes,
      answers: Math.max(0, executes - lost),
      swallows,
      noticedAfter,
    })),
  { maxLength: 5 },
);

/** The end of one operation: the keys in its answers, or the name of the error for each key. */
async function outcomeOf(client: Redis, { kind }: Operation, keys: readonly string[]): Promise<string[]> {
  if (kind === "command") return [await client.get(keys[0]!).then(String, errorName)];
  const chain: ChainableCommander = kind === "multi" ? client.multi() : client.pipeline();
  for (const key of keys) chain.get(key);
  const rows = await chain.exec().catch((error: unknown) => keys.map(() => [error as Error, null] as const));
  return (rows ?? []).map(([error, value]) => (error === null ? String(value) : errorName(error)));
}

function errorName(error: unknown): string {
  return `error: ${(error as Error).name}`;
}

/** Runs a history, and returns the keys and the answers of each operation, in order. */
async function play(
  client: Redis,
  history: readonly Turn[],
  betweenTurns: (turn: number) => Promise<unknown>,
  complete: () => void = () => {},
): Promise<{ keys: string[]; answers: string[] }[]> {
  const ends: Promise<{ keys: string[]; answers: string[] }>[] = [];
  for (const [at, [operations]] of history.entries()) {
    for (const each of operations) {
      const keys = Array.from({ length: each.size }, (_, index) => `k${ends.length}.${index}`);
      ends.push(outcomeOf(client, each, keys).then((answers) => ({ keys, answers })));
    }
    await betweenTurns(at);
  }
  complete();
  return await Promise.all(ends);
}

function expectOwnAnswers(outcomes: readonly { keys: string[]; answers: string[] }[]): void {
  for (const { keys, answers } of outcomes)
    expect(answers.map((answer, at) => (answer === "error: AbortError" ? keys[at] : answer))).toEqual(keys);
}

async function playSimulated(
  Client: new (options: RedisOptions) => Redis,
  history: readonly Turn[],
  connectionLives: readonly Life[],
): Promise<{ outcomes: { keys: string[]; answers: string[] }[]; executed: Map<string, number> }> {
  const server = new MortalRedis(connectionLives);
  const client = new Client({
    Connector: server.connector() as never,
    lazyConnect: true,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2,
    maxRetriesPerRequest: null,
    retryStrategy: () => 0,
  });
  client.on("error", () => {});
  await client.connect();
  const pause = async (turn: number): Promise<void> => {
    for (let left = history[turn]?.[1] ?? 0; left >= 0; left--) await setImmediate();
  };
  const outcomes = await play(client, history, pause, () => server.complete());
  client.disconnect();
  return { outcomes, executed: server.executed };
}

test(
  `${simulated} random histories: every answer belongs to its command, and each is executed as often as with ioredis`,
  { timeout: full ? 900_000 : 60_000 },
  async () => {
    let commands = 0;
    await fc.assert(
      fc.asyncProperty(turns, lives, async (history, connectionLives) => {
        const plain = await playSimulated(Redis, history, connectionLives);
        const batching = await playSimulated(BatchingRedis, history, connectionLives);
        expectOwnAnswers(batching.outcomes);
        expect(batching).toEqual(plain);
        commands += batching.outcomes.flatMap(({ keys }) => keys).length;
      }),
      { numRuns: simulated, timeout: 30_000 },
    );
    measured(
      `${simulated} histories, ${commands} commands: 0 wrong, 0 lost, 0 executed more often than with ioredis`,
    );
  },
);

test(
  `${real} histories on a real Redis that closes connections unseen: every answer belongs to its command`,
  { timeout: full ? 900_000 : 60_000 },
  async ({ redis }) => {
    using killer = new ConnectionKiller(redis.url);
    const client = new BatchingRedis(redis.url, { maxRetriesPerRequest: null, retryStrategy: () => 1 });
    client.on("error", () => {});
    const preset: string[] = [];
    for (let operationAt = 0; operationAt < 8 * 14; operationAt++)
      for (let index = 0; index < 12; index++)
        preset.push(`k${operationAt}.${index}`, `k${operationAt}.${index}`);
    await client.mset(preset);
    let commands = 0;
    await fc.assert(
      fc.asyncProperty(turns, fc.infiniteStream(fc.boolean()), async (history, kills) => {
        const outcomes = await play(client, history, async (turn) => {
          for (let pause = history[turn]?.[1] ?? 0; pause >= 0; pause--) await setImmediate();
          if (kills.next().value === true) killer.killAll();
        });
        expectOwnAnswers(outcomes);
        commands += outcomes.flatMap(({ keys }) => keys).length;
      }),
      { numRuns: real, timeout: 30_000 },
    );
    measured(
      `${real} histories on a real Redis, ${commands} commands, ${killer.killed} connections killed: 0 wrong answers`,
    );
    client.disconnect();
  },
);
