import { Redis } from "ioredis";
import { bullScripts, bullText } from "../../../../packages/queue/src/engines/redis/driver/bullmq-texts.ts";
import { driverScripts } from "../../../../packages/queue/src/engines/redis/driver/redis-driver.ts";
import { PrivateRedis } from "../../../support/private-redis.ts";
import { differenceFrom, record } from "../compare.ts";
import type { Comparison, Recording } from "../compare.ts";
import { redisSides } from "../redis-sides.ts";
import type { OpenSide } from "../side.ts";
import type { Judge, Verdict } from "./judge.ts";
import { lua } from "./lua.ts";
import { mutantsOf, mutated } from "./text-mutant.ts";
import type { TextMutant } from "./text-mutant.ts";

/** The time in which one sequence ends unless a script is endless. */
const SEQUENCE_MS = 20_000;

/** Judges mutants of the driver's Lua scripts on a Redis of its own. */
export class RedisJudge implements Judge {
  readonly #redis: PrivateRedis;
  readonly #client: Redis;
  readonly #sides: ReturnType<typeof redisSides>;
  readonly #recordings: Recording[] = [];
  #scripts = driverScripts();

  private constructor(redis: PrivateRedis) {
    this.#redis = redis;
    this.#client = new Redis(redis.url, { maxRetriesPerRequest: null });
    this.#client.on("error", () => {}); // Redis is killed if a script is endless.
    this.#sides = redisSides(redis.url, () => this.#scripts);
  }

  static async start(): Promise<RedisJudge> {
    const judge = new RedisJudge(await PrivateRedis.start());
    await judge.#client.config("SET", "stream-node-max-bytes", "0"); // Then all trims are comparable.
    return judge;
  }

  mutants(): TextMutant[] {
    return Object.entries(driverScripts()).flatMap(([name, text]) =>
      mutantsOf(name, text, lua, ownLines(text)),
    );
  }

  /** Redis compiles a script as soon as it has its text. */
  async isValid(mutant: TextMutant): Promise<boolean> {
    const text = mutated(this.#textOf(mutant), mutant);
    return await this.#client.script("LOAD", text).then(
      () => true,
      () => false,
    );
  }

  async verdict(mutant: TextMutant, comparisons: readonly Comparison[]): Promise<Verdict> {
    for (const [at, comparison] of comparisons.entries())
      this.#recordings[at] ??= await record(this.#sides.bullmq, comparison);
    this.#scripts = { ...driverScripts(), [mutant.source]: mutated(this.#textOf(mutant), mutant) };
    for (let at = 0; at < comparisons.length; at++) {
      const found = await this.#compareWithin(this.#recordings[at]!);
      if (found === "endless") return { kind: "endless", after: at + 1 };
      if (found !== undefined) return { kind: "caught", after: at + 1, at: found.at };
    }
    return { kind: "survived" };
  }

  #textOf({ source }: TextMutant): string {
    const text = Object.entries(driverScripts()).find(([name]) => name === source)?.[1];
    if (text === undefined) throw new Error(`there is no script ${source}`);
    return text;
  }

  async #compareWithin(
    recording: Recording,
  ): Promise<Awaited<ReturnType<typeof differenceFrom>> | "endless"> {
    let isOver = false;
    const open: OpenSide = async (settings, now) => {
      const side = await this.#sides.driver(settings, now);
      return {
        ...side,
        apply: async (operation) => {
          if (isOver) throw new Error("the sequence took too long");
          return await side.apply(operation);
        },
      };
    };
    // While a script is endless, Redis refuses all commands.
    const comparing = differenceFrom(recording, open).catch(() => "endless" as const);
    const timer = Promise.withResolvers<"endless">();
    const timeout = setTimeout(() => timer.resolve("endless"), SEQUENCE_MS);
    const found = await Promise.race([comparing, timer.promise]);
    clearTimeout(timeout);
    if (found === undefined) return found;
    isOver = true;
    const answer = await Promise.race([this.#client.ping(), timerOf(2_000)]).catch(() => "busy");
    if (answer !== "PONG") await this.#restart();
    await comparing; // Its clock must not overlap with that of the next sequence.
    await this.#client.flushall();
    return found;
  }

  async #restart(): Promise<void> {
    await this.#redis.kill();
    await this.#redis.restart();
    await this.#client.config("SET", "stream-node-max-bytes", "0");
  }

  async close(): Promise<void> {
    await this.#sides.close();
    this.#client.disconnect();
    await this.#redis.stop();
  }
}

/** Returns the mutants of the driver's scripts; Redis refuses some of them. */
export function redisMutants(): TextMutant[] {
  return Object.entries(driverScripts()).flatMap(([name, text]) =>
    mutantsOf(name, text, lua, ownLines(text)),
  );
}

async function timerOf(milliseconds: number): Promise<"late"> {
  return await new Promise((resolve) => setTimeout(() => resolve("late"), milliseconds).unref());
}

/** Returns a function that returns whether a line is the driver's own, and not in one of BullMQ's texts. */
function ownLines(text: string): (line: number) => boolean {
  const foreign: (readonly [from: number, to: number])[] = [];
  for (const name of bullScripts) {
    const bull = bullText(name);
    const at = text.indexOf(bull);
    if (at < 0) continue;
    const from = text.slice(0, at).split("\n").length;
    foreign.push([from, from + bull.split("\n").length - 1]);
  }
  return (line) => foreign.every(([from, to]) => line < from || line > to);
}
