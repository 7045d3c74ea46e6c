import { JOURNAL_PAGE, parkedUntil } from "../../../contract/run-journal.ts";
import type {
  AppendAnswer,
  Continuation,
  DeliverAnswer,
  Delivery,
  OpenedRun,
  ParkAnswer,
  ParkTerms,
  RunAppend,
  RunHead,
  RunJournal,
} from "../../../contract/run-journal.ts";
import type { ScriptConnection, ScriptValue } from "../driver/script-connection.ts";
import { appendParts, appendValues } from "./append-values.ts";
import {
  deliverScript,
  forgetScript,
  headsScript,
  readScript,
  sweepScript,
  viewsScript,
} from "./other-scripts.ts";
import { appendScript, continueScript, openScript, parkScript, releaseScript } from "./owner-scripts.ts";
import { appendAnswer, headOf, openedRun, textOrNothing } from "./journal-answers.ts";
import type { StoredAnswer, StoredHead, StoredOpening } from "./journal-answers.ts";
import { JOURNAL_KEYS } from "./run-lua.ts";

/** How many runs one script reads. Redis does no other work meanwhile. */
const MAX_SWEPT = 500;

/** The texts of the journal's scripts by their names. They contain texts of BullMQ, and are built at their first use. */
export const journalScripts = (): Readonly<Record<string, string>> => ({
  taskloomRunOpen: openScript,
  taskloomRunAppend: appendScript,
  taskloomRunPark: parkScript(),
  taskloomRunRelease: releaseScript,
  taskloomRunContinue: continueScript,
  taskloomRunDeliver: deliverScript(),
  taskloomRunSweep: sweepScript(),
  taskloomRunForget: forgetScript,
  taskloomRunHeads: headsScript,
  taskloomRunViews: viewsScript,
  taskloomRunRead: readScript,
});

/** The parts of the engine that the journal needs. */
export interface JournalParts {
  readonly prefix: string;
  /** A connection that has {@link journalScripts}. It may repeat them. */
  readonly scripts: ScriptConnection;
  /** Reads members of a set from a cursor on, as SSCAN does. */
  readonly scan: (key: string, cursor: string) => Promise<[cursor: string, members: string[]]>;
  /** Notifies a listener of the messages to a worker. */
  readonly listen: (workerId: string, listener: (message: string) => void) => () => void;
  /** The start of the channels that {@link listen} listens to. */
  readonly channel: string;
  /** Returns the time of the engine's clock. */
  readonly now: () => number;
}

/** The journals of the runs on Redis: one script for each operation. */
export class RedisJournal implements RunJournal {
  readonly #parts: JournalParts;
  /** The place up to which each lane was searched for journals without a job. */
  readonly #searched = new Map<string, string>();

  constructor(parts: JournalParts) {
    this.#parts = parts;
  }

  async #run<Answer>(script: string, lane: string, ...values: readonly ScriptValue[]): Promise<Answer> {
    const base = `${this.#parts.prefix}:${lane}:`;
    const keys = JOURNAL_KEYS.map((name) => `${base}${name}`);
    return (await this.#parts.scripts.run(script, keys, [base, ...values])) as Answer;
  }

  async open(lane: string, id: string, token: string, from = 0): Promise<OpenedRun | undefined> {
    const answer = await this.#run<StoredOpening | null>("taskloomRunOpen", lane, id, token, from);
    return answer === null ? undefined : openedRun(answer);
  }

  read(lane: string, id: string, from: number, count: number): Promise<string[]> {
    return this.#run("taskloomRunRead", lane, id, "log", from, Math.min(count, JOURNAL_PAGE));
  }

  readInbox(lane: string, id: string, from: number, count: number): Promise<string[]> {
    return this.#run("taskloomRunRead", lane, id, "in", from, Math.min(count, JOURNAL_PAGE));
  }

  async append(lane: string, appends: readonly RunAppend[]): Promise<AppendAnswer[]> {
    // All parts leave at once, and Redis runs them in their order.
    const parts = appendParts(appends).map((part) =>
      this.#run<StoredAnswer[]>("taskloomRunAppend", lane, ...part.flatMap(appendValues)),
    );
    return (await Promise.all(parts)).flat().map(appendAnswer);
  }

  async deliver(lane: string, id: string, items: readonly string[], key?: string): Promise<DeliverAnswer> {
    const keyed = key === undefined ? ["0", ""] : ["1", key];
    const [kind, unread] = await this.#run<[DeliverAnswer["kind"], number]>(
      "taskloomRunDeliver",
      lane,
      id,
      this.#parts.channel,
      lane,
      ...keyed,
      ...items,
    );
    return kind === "stored" ? { kind, unread } : { kind };
  }

  onDelivery(workerId: string, listener: (delivery: Delivery) => void): () => void {
    return this.#parts.listen(workerId, (message) => {
      const delivery: Delivery = JSON.parse(message);
      listener(delivery);
    });
  }

  park(lane: string, id: string, terms: ParkTerms): Promise<ParkAnswer> {
    const { token, epoch, generation, read, until } = terms;
    const now = this.#parts.now();
    // BullMQ compares the time of a delayed job with the clocks of the workers' machines.
    const delay = Math.max(0, parkedUntil(until, now) - Math.floor(now));
    return this.#run("taskloomRunPark", lane, id, token, epoch, generation, read, Date.now(), delay);
  }

  async release(lane: string, id: string, epoch: number): Promise<void> {
    await this.#run("taskloomRunRelease", lane, id, epoch);
  }

  async sweep(lane: string): Promise<number> {
    const woken = `${this.#parts.prefix}:${lane}:tl-woken`;
    let promoted = 0;
    let cursor = "0";
    do {
      const [next, ids] = await this.#parts.scan(woken, cursor);
      for (let at = 0; at < ids.length; at += MAX_SWEPT)
        promoted += await this.#run<number>("taskloomRunSweep", lane, ...ids.slice(at, at + MAX_SWEPT));
      cursor = next;
    } while (cursor !== "0");
    await this.#search(lane);
    return promoted;
  }

  /** Reads some of the journals, and removes those whose job is gone. */
  async #search(lane: string): Promise<void> {
    const cursor = this.#searched.get(lane) ?? "0";
    const [next, ids] = await this.#parts.scan(`${this.#parts.prefix}:${lane}:tl-runs`, cursor);
    this.#searched.set(lane, next);
    await this.forget(lane, ids);
  }

  async continueAs(lane: string, id: string, next: Continuation): Promise<boolean> {
    const { token, epoch, generation, consume, data, name = "" } = next;
    const values = [id, token, epoch, generation, consume, JSON.stringify(data), name];
    return (await this.#run<number>("taskloomRunContinue", lane, ...values)) === 1;
  }

  async view(lane: string, ids: readonly string[]): Promise<(string | undefined)[]> {
    const views = await this.#run<(string | null)[]>("taskloomRunViews", lane, ...ids);
    return views.map(textOrNothing);
  }

  async head(lane: string, id: string): Promise<RunHead | undefined> {
    const [head] = await this.#run<(StoredHead | [])[]>("taskloomRunHeads", lane, id);
    return head === undefined || head.length === 0 ? undefined : headOf(head);
  }

  async forget(lane: string, ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += MAX_SWEPT)
      await this.#run("taskloomRunForget", lane, ...ids.slice(at, at + MAX_SWEPT));
  }
}
