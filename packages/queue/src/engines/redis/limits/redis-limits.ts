import { MAX_LIMITS_SWEPT } from "../../../contract/task-limits.ts";
import type {
  AskedLimit,
  LimitAnswer,
  LimitEntry,
  LimitPlace,
  LimitState,
  TaskLimits,
} from "../../../contract/task-limits.ts";
import type { ScriptConnection, ScriptValue } from "../driver/script-connection.ts";
import { PROMOTE_KEYS } from "./limits-lua.ts";

/** The greatest number of values of one script that joins lines: Lua unpacks no more than some thousands. */
const MAX_JOINED = 1_000;

type StoredState = readonly [name: string, max: number, window: number, taken: number, waiting: number];
type StoredAnswer = readonly ["granted"] | readonly ["lost"] | readonly ["refused", string, string];

/** The parts of the engine that the limits need. */
export interface LimitParts {
  readonly prefix: string;
  /** A connection that has the scripts of `limit-scripts.ts`. It may repeat them. */
  readonly scripts: ScriptConnection;
  /** Reads fields of a hash from a cursor on, as HSCAN does. */
  readonly scan: (key: string, cursor: string) => Promise<[cursor: string, fields: string[]]>;
  /** Returns the time of the engine's clock. */
  readonly now: () => number;
}

/** The limits of tasks on Redis: one script for each operation. */
export class RedisLimits implements TaskLimits {
  readonly #parts: LimitParts;

  constructor(parts: LimitParts) {
    this.#parts = parts;
  }

  async #run<Answer>(script: string, lane: string, ...values: readonly ScriptValue[]): Promise<Answer> {
    const base = `${this.#parts.prefix}:${lane}:`;
    const keys = PROMOTE_KEYS.map((name) => `${base}${name}`);
    const now = Math.floor(this.#parts.now());
    return (await this.#parts.scripts.run(script, keys, [base, now, ...values])) as Answer;
  }

  async join(lane: string, entries: readonly LimitEntry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += MAX_JOINED) {
      const values: ScriptValue[] = [];
      for (const { id, limits } of entries.slice(at, at + MAX_JOINED))
        values.push(id, limits.length, ...limits);
      await this.#run("taskloomLimitJoin", lane, ...values);
    }
  }

  async ask(lane: string, id: string, token: string, limits: readonly AskedLimit[]): Promise<LimitAnswer> {
    const terms = limits.flatMap(({ name, max, window, includesOthers }) => [
      name,
      max,
      window,
      includesOthers ? 1 : 0,
    ]);
    const answer = await this.#run<StoredAnswer>("taskloomLimitAsk", lane, id, token, ...terms);
    if (answer[0] !== "refused") return { kind: answer[0] };
    return { kind: "refused", limit: answer[1], until: Number(answer[2]) };
  }

  async release(
    lane: string,
    id: string,
    token: string,
    limits: readonly string[],
    isBack: boolean,
  ): Promise<void> {
    await this.#run("taskloomLimitRelease", lane, id, token, isBack ? 1 : 0, ...limits);
  }

  async wake(lane: string, limits: readonly string[]): Promise<void> {
    await this.#run("taskloomLimitWake", lane, ...limits);
  }

  async sweep(lane: string): Promise<void> {
    let cursor = "0";
    do {
      const [next, fields] = await this.#parts.scan(`${this.#parts.prefix}:${lane}:tl-limits`, cursor);
      const names = fields.filter((_, at) => at % 2 === 0);
      for (let at = 0; at < names.length; at += MAX_LIMITS_SWEPT)
        await this.#run("taskloomLimitSweep", lane, ...names.slice(at, at + MAX_LIMITS_SWEPT));
      cursor = next;
    } while (cursor !== "0");
  }

  async drop(lane: string, limit: string): Promise<void> {
    await this.#run("taskloomLimitDrop", lane, limit);
  }

  async list(lane: string): Promise<LimitState[]> {
    const states = await this.#run<readonly StoredState[]>("taskloomLimitList", lane);
    return states.map(stateOf).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async place(lane: string, id: string): Promise<LimitPlace | undefined> {
    const answer = await this.#run<readonly [...StoredState, ahead: number] | null>(
      "taskloomLimitPlace",
      lane,
      id,
    );
    if (answer === null) return undefined;
    const [name, max, window, taken, waiting, ahead] = answer;
    return { ...stateOf([name, max, window, taken, waiting]), ahead };
  }
}

function stateOf([name, max, window, taken, waiting]: StoredState): LimitState {
  return { name, max, window, taken, waiting };
}
