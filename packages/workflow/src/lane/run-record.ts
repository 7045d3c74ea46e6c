import type { AppendAnswer, OpenedRun, RunAppend, RunPlace } from "@taskloom/queue/lane";
import type { Json } from "@taskloom/queue/wire";
import { KeptEntries } from "./kept-entries.ts";
import { RunInbox } from "./run-inbox.ts";
import { ShownState } from "./shown-state.ts";

interface Unstored {
  readonly entry: string;
  /** The number of items that the run had consumed after this entry. */
  readonly read: number;
  /** The time at which the entry was made. */
  readonly since: number;
}

/** The result of an append: `again` needs another one, after the engine has lost its last writes. */
export type Settled = "stored" | "again" | "continue again" | "lost";

/**
 * The owner's side of a run's journal: the entries that are stored and those that are not, and the items that were
 * received and consumed. Entries of a run are appended in their order, by one append at a time.
 */
export class RunRecord {
  readonly id: string;
  inbox: RunInbox;
  readonly shown: ShownState;
  #place: RunPlace;
  #entries = new KeptEntries();
  #stored = 0;
  #unstored: Unstored[] = [];
  #storedRead: number;
  #hasNewView = false;
  /** The number of entries, of items and of known items of the append under way. */
  #sent: { readonly entries: number; readonly read: number; readonly known: number } | undefined;

  /** @param opened the run at its opening; undefined at the first start. */
  constructor(id: string, opened: OpenedRun | undefined) {
    this.id = id;
    this.#place = { epoch: opened?.epoch ?? 0, generation: opened?.generation ?? 0 };
    this.#storedRead = opened?.read ?? 0;
    this.inbox = new RunInbox(this.#storedRead);
    this.inbox.receive(this.#storedRead, opened?.inbox ?? []);
    this.shown = new ShownState(opened?.view);
  }

  get place(): RunPlace {
    return this.#place;
  }

  /** The number of stored entries. */
  get stored(): number {
    return this.#stored;
  }

  /** Whether the engine has everything. */
  get isClean(): boolean {
    return this.#unstored.length === 0 && this.#storedRead === this.inbox.read && !this.#hasNewView;
  }

  /** The time of the oldest entry that is not stored; undefined if all are. */
  get waitsSince(): number | undefined {
    return this.#unstored[0]?.since;
  }

  /** The whole history, as far as it is in memory; undefined if a part of it is not. */
  get history(): readonly string[] | undefined {
    return this.#entries.from(0);
  }

  /** The last entry; undefined if it is not in memory. */
  get last(): string | undefined {
    return this.#entries.from(this.#entries.length - 1)?.[0];
  }

  /** Takes up entries that were read from the engine. */
  replayed(entries: readonly string[]): void {
    for (const entry of entries) this.#entries.push(entry);
    this.#stored += entries.length;
  }

  /** Follows a new opening of a run that has stayed in memory. */
  reopen({ epoch, generation, read, inbox }: OpenedRun): void {
    this.#place = { epoch, generation };
    this.inbox.receive(read, inbox);
  }

  /** Begins the next history: the log is empty, and the inbox goes on. */
  nextGeneration(): void {
    this.#place = { ...this.#place, generation: this.#place.generation + 1 };
    this.#entries = new KeptEntries();
    this.#stored = 0;
  }

  /** Adds an entry. Returns whether it changes the view. */
  add(entry: string, views: ReadonlyMap<string, Json>, now: number): boolean {
    this.#entries.push(entry);
    this.#unstored.push({ entry, read: this.inbox.read, since: now });
    const isShown = this.shown.take(entry, views);
    this.#hasNewView ||= isShown;
    return isShown;
  }

  /** Returns the append of everything that is not stored. */
  append(): RunAppend {
    const { id, inbox } = this;
    this.#sent = { entries: this.#unstored.length, read: inbox.read, known: inbox.known };
    const view = this.#hasNewView ? { view: this.shown.toString() } : {};
    this.#hasNewView = false;
    return {
      id,
      ...this.#place,
      at: this.#stored,
      entries: this.#unstored.map(({ entry }) => entry),
      consume: inbox.read,
      known: inbox.known,
      ...view,
    };
  }

  settle(answer: AppendAnswer): Settled {
    const { entries, read, known } = this.#sent!; // An answer follows its append.
    this.#sent = undefined;
    if (answer.kind === "lost") return "lost";
    if (answer.kind === "short") return this.#rewind(answer);
    this.#stored += entries;
    this.#unstored.splice(0, entries);
    this.#storedRead = read;
    this.inbox.receive(known, answer.inbox);
    return "stored";
  }

  /** Whether the engine has items that an answer had no room for. */
  isBehind(answer: AppendAnswer): boolean {
    return answer.kind === "ok" && this.#storedRead + answer.unread > this.inbox.known;
  }

  /** Follows an engine that has lost its last writes: everything that it misses is to be stored again. */
  #rewind(answer: AppendAnswer & { readonly kind: "short" }): Settled {
    const { generation, length, last, read, inbox } = answer;
    if (generation !== this.#place.generation) {
      return generation === this.#place.generation - 1 ? "continue again" : "lost";
    }
    const missing = this.#entries.from(length);
    const before = length === 0 ? undefined : this.#entries.from(length - 1)?.[0];
    if (missing === undefined || before !== last) return "lost";
    this.inbox.rewind(read, inbox);
    this.#stored = length;
    this.#storedRead = read;
    this.#unstored = missing.map((entry) => ({ entry, read: this.inbox.read, since: 0 }));
    this.#hasNewView = true;
    return "again";
  }
}
