import type { Engine } from "../contract/engine.ts";
import type { JobRecord, StoredState } from "../contract/job-record.ts";
import { TaskOptionsError } from "../errors.ts";
import { laneQueueName, lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { readCursor, writeCursor } from "./cursor.ts";

/** The number of ids that are read of a section at once. */
const IDS_AT_ONCE = 200;

/** The jobs of one lane in one state, on one shard, which a walk reads from the newest on. */
interface Section {
  readonly reader: Pick<Engine, "idsIn" | "readRecords">;
  /** The name of the section in a cursor. */
  readonly name: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly state: StoredState;
  /** The records that were read; the next one to return is at the index `at`. */
  ahead: (JobRecord | undefined)[];
  at: number;
  /** The position of `ahead[0]` within the state. */
  from: number;
  isOver: boolean;
  /** The number of jobs, from the newest on, that were returned, and the number of those that were passed. */
  returned: number;
  passed: number;
}

/** One job of a walk, whose texts are not read. */
export interface WalkedJob {
  readonly section: Pick<Section, "queue" | "lane" | "state">;
  readonly record: JobRecord;
  /** Marks the job as handled: the cursor of the walk continues after it. */
  pass(): void;
}

/**
 * A walk through the jobs of several queues, lanes and states. Each state is read from its newest job on, and the next
 * job of the walk is the one that was submitted last. A walk reads no arguments, results or errors, so its cost does not
 * depend on the size of the jobs. Its cursor is the place at which a later walk continues.
 */
export class JobWalk {
  readonly #sections: readonly Section[];

  /**
   * @param among the lanes to walk through.
   * @throws {@link TaskOptionsError} for a cursor that no walk has returned.
   */
  constructor(
    engine: Engine,
    queues: readonly string[],
    states: readonly StoredState[],
    cursor: string | undefined,
    among: readonly Lane[] = lanes,
  ) {
    const places = cursor === undefined ? {} : placesAt(cursor);
    const readers = engine.shardViews?.() ?? [engine];
    this.#sections = queues.flatMap((queue) =>
      among.flatMap((lane) =>
        states.flatMap((state) =>
          readers.map((reader, shard): Section => {
            const name = `${laneQueueName(queue, lane)}:${state}${shard === 0 ? "" : `:${shard}`}`;
            const passed = places[name] ?? 0;
            return {
              reader,
              name,
              queue,
              lane,
              state,
              ahead: [],
              at: 0,
              from: passed,
              isOver: false,
              returned: passed,
              passed,
            };
          }),
        ),
      ),
    );
  }

  /** Reads the next `count` jobs; fewer only at the end. */
  async next(count: number): Promise<WalkedJob[]> {
    const block: WalkedJob[] = [];
    while (block.length < count) {
      await Promise.all(this.#sections.map((section) => this.#readAhead(section)));
      const first = this.#newest();
      if (first === undefined) break;
      const { section, record } = first;
      const after = section.from + ++section.at;
      section.returned = after;
      block.push({ section, record, pass: () => void (section.passed = after) });
    }
    return block;
  }

  /** Returns the cursor at which a later walk continues, or undefined if no job is left. */
  async cursor(): Promise<string | undefined> {
    await Promise.all(this.#sections.map((section) => this.#readAhead(section)));
    const isAll = this.#sections.every(
      ({ isOver, at, ahead, returned, passed }) => isOver && at >= ahead.length && passed >= returned,
    );
    if (isAll) return undefined;
    const places = this.#sections.flatMap(({ name, passed }) =>
      passed === 0 ? [] : [[name, passed] as const],
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
      // A job that was removed after its id was read leaves a hole.
      while (section.at < section.ahead.length && section.ahead[section.at] === undefined) section.at++;
      if (section.at < section.ahead.length || section.isOver) return;
      const name = laneQueueName(section.queue, section.lane);
      section.from += section.ahead.length;
      const { reader } = section;
      const ids = await reader.idsIn(name, section.state, section.from, IDS_AT_ONCE, "newest");
      section.ahead = ids.length === 0 ? [] : await reader.readRecords(name, ids, {});
      section.at = 0;
      section.isOver = ids.length < IDS_AT_ONCE;
    }
  }
}

function placesAt(cursor: string): Readonly<Record<string, number>> {
  const places = readCursor(cursor);
  if (places !== undefined) return places;
  throw new TaskOptionsError(
    `Expected \`cursor\` to be the \`next\` of an earlier page, got ${JSON.stringify(cursor.slice(0, 40))}`,
  );
}
