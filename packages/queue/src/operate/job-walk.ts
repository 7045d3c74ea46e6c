import type { Engine } from "../contract/engine.ts";
import type { JobRecord, StoredState } from "../contract/job-record.ts";
import { TaskOptionsError } from "../errors.ts";
import { laneQueueName, lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { readCursor, writeCursor } from "./cursor.ts";

/** Every state, those first that people look for most. */
export const storedStates: readonly StoredState[] = [
  "active",
  "waiting",
  "paused",
  "prioritized",
  "delayed",
  "waiting-children",
  "failed",
  "completed",
];

/** So many ids are read of a section at once. */
const idsAtOnce = 200;

/** The jobs of one lane in one state, of which a walk reads the newest first. */
interface Section {
  readonly queue: string;
  readonly lane: Lane;
  readonly state: StoredState;
  /** Read and not handed out; the next one is at `at`. */
  ahead: (JobRecord | undefined)[];
  at: number;
  /** The place in the state of `ahead[0]`. */
  from: number;
  isOver: boolean;
  /** So many jobs, from the newest, were handed out, and so many of those were passed. */
  handed: number;
  passed: number;
}

/** One job on the way of a walk; its texts are not read. */
export interface WalkedJob {
  readonly section: Pick<Section, "queue" | "lane" | "state">;
  readonly record: JobRecord;
  /** Has the walk go on after this job when it is continued by its cursor. */
  pass(): void;
}

/**
 * A walk through the jobs of several queues, lanes and states. Each state is read from its newest job on, and of all
 * states that one goes first whose next job was submitted last. A walk reads no arguments, results or errors, so it
 * costs little however large the jobs are; its cursor says how far it came, for a later walk to go on.
 */
export class JobWalk {
  readonly #engine: Engine;
  readonly #sections: readonly Section[];

  /** @throws {@link TaskOptionsError} for a cursor that no walk has given. */
  constructor(
    engine: Engine,
    queues: readonly string[],
    states: readonly StoredState[],
    cursor: string | undefined,
  ) {
    this.#engine = engine;
    const places = cursor === undefined ? {} : placesAt(cursor);
    this.#sections = queues.flatMap((queue) =>
      lanes.flatMap((lane) =>
        states.map((state): Section => {
          const passed = places[`${laneQueueName(queue, lane)}:${state}`] ?? 0;
          return {
            queue,
            lane,
            state,
            ahead: [],
            at: 0,
            from: passed,
            isOver: false,
            handed: passed,
            passed,
          };
        }),
      ),
    );
  }

  /** The next jobs, at most `count`; fewer only at the end. */
  async next(count: number): Promise<WalkedJob[]> {
    const block: WalkedJob[] = [];
    while (block.length < count) {
      await Promise.all(this.#sections.map((section) => this.#readAhead(section)));
      const first = this.#newest();
      if (first === undefined) break;
      const { section, record } = first;
      const after = section.from + ++section.at;
      section.handed = after;
      block.push({ section, record, pass: () => void (section.passed = after) });
    }
    return block;
  }

  /** Where a later walk goes on; undefined when there is nothing left. */
  async cursor(): Promise<string | undefined> {
    await Promise.all(this.#sections.map((section) => this.#readAhead(section)));
    const isAll = this.#sections.every(
      ({ isOver, at, ahead, handed, passed }) => isOver && at >= ahead.length && passed >= handed,
    );
    if (isAll) return undefined;
    const places = this.#sections.flatMap(({ queue, lane, state, passed }) =>
      passed === 0 ? [] : [[`${laneQueueName(queue, lane)}:${state}`, passed] as const],
    );
    return writeCursor(Object.fromEntries(places));
  }

  #newest(): { readonly section: Section; readonly record: JobRecord } | undefined {
    let newest: { readonly section: Section; readonly record: JobRecord } | undefined;
    for (const section of this.#sections) {
      const record = section.ahead[section.at];
      if (record !== undefined && (newest === undefined || record.timestamp > newest.record.timestamp))
        newest = { section, record };
    }
    return newest;
  }

  async #readAhead(section: Section): Promise<void> {
    for (;;) {
      // Jobs that were removed between the two reads leave holes.
      while (section.at < section.ahead.length && section.ahead[section.at] === undefined) section.at++;
      if (section.at < section.ahead.length || section.isOver) return;
      const name = laneQueueName(section.queue, section.lane);
      section.from += section.ahead.length;
      const ids = await this.#engine.idsIn(name, section.state, section.from, idsAtOnce, "newest");
      section.ahead = ids.length === 0 ? [] : await this.#engine.readRecords(name, ids, {});
      section.at = 0;
      section.isOver = ids.length < idsAtOnce;
    }
  }
}

function placesAt(cursor: string): Readonly<Record<string, number>> {
  const places = readCursor(cursor);
  if (places !== undefined) return places;
  throw new TaskOptionsError(
    `Expected \`cursor\` to be the \`next\` of an earlier answer, got ${JSON.stringify(cursor.slice(0, 40))}.`,
  );
}
