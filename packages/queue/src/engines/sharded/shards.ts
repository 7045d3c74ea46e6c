import { setTimeout as delay } from "node:timers/promises";
import { ShardDownError, ShardsDifferError } from "../../errors.ts";
import { MAX_SHARDS } from "../../contract/shard-id.ts";
import type { ShardPlace } from "../../contract/shard-id.ts";
import { RedisEngine } from "../redis/redis-engine.ts";
import { prefixAt } from "../redis/redis-client.ts";
import { FIRST_TAG, chooseTags, prefixOfTag } from "./cluster-tags.ts";
import { LAYOUT_LEASE_MS, allShards, candidatesOf, layoutText, parseLayout } from "./shard-layout.ts";
import type { ShardLayout } from "./shard-layout.ts";
import { serverOfUrl, urlOfServer } from "../../contract/shard-url.ts";
import type { ShardAddress } from "../../contract/shard-url.ts";

/** The time after which a request about a silent shard fails, in milliseconds. Shorter outages are waited for. */
export const SHARD_PATIENCE_MS = 2_000;
/** The interval at which the stored layout is read, in milliseconds. */
const READ_INTERVAL_MS = 2_000;
/** The pause before another try to connect to a shard, in milliseconds. */
const CONNECT_PAUSE_MS = 500;
/** The interval at which requests look whether their shard has become silent, in milliseconds. */
const CHECK_INTERVAL_MS = 250;

/** A part of an engine that has something on each shard. */
export interface ShardListener {
  joins(shard: number): void;
  /** Ends the use of a shard that has no jobs any more. */
  leaves?(shard: number): Promise<void>;
}

/** The engines of a queue's shards, and the layout that assigns jobs to them. */
export class Shards {
  readonly address: ShardAddress;
  readonly #replyAddress: string;
  readonly #isForChange: boolean;
  readonly #engines: RedisEngine[] = [];
  readonly #joined = new Set<ShardListener>();
  readonly #failed = new Map<number, number>();
  #layout: ShardLayout;
  /** When the layout was read, in `performance.now()` milliseconds. */
  #readAt = -Infinity;
  #reading: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #next = Math.trunc(Math.random() * MAX_SHARDS);
  #isClosed = false;

  /** @param isForChange whether the stored layout counts, whatever the address says: the caller changes it. */
  constructor(address: ShardAddress, replyAddress: string, isForChange = false) {
    this.address = address;
    this.#replyAddress = replyAddress;
    this.#isForChange = isForChange;
    const known = isForChange ? 1 : address.count;
    const places = address.isCluster ? [FIRST_TAG] : address.urls.map(serverOfUrl).slice(0, known);
    this.#layout = { epoch: 0, count: known, earlier: [], keysFrom: 0, places };
    // The tags of a cluster's other shards are in the layout, which the first shard has.
    for (let shard = 0; shard < places.length; shard++) this.#open(shard);
  }

  get layout(): ShardLayout {
    return this.#layout;
  }

  /** The engines of all shards, those that only drain too. */
  get all(): readonly RedisEngine[] {
    return this.#engines;
  }

  /** Whether a layout is stored. A queue that never had shards has none. */
  get isStored(): boolean {
    return this.#layout.epoch > 0;
  }

  /** The engine whose clock is that of the queue: the first one that has been connected. */
  get first(): RedisEngine {
    return this.#engines.find((engine) => engine.downFor() === 0) ?? this.#engines[0]!;
  }

  engine(shard: number): RedisEngine {
    return this.#engines[shard] ?? this.#engines[0]!;
  }

  /**
   * Notifies a listener of each shard: of the present ones, and of those that join and leave while this process runs.
   *
   * @returns a function that ends that.
   */
  watch(listener: ShardListener): () => void {
    // BullMQ's objects cannot be used again after their first connection has failed.
    for (let shard = 0; shard < this.#engines.length; shard++)
      if (!this.#failed.has(shard)) listener.joins(shard);
    this.#joined.add(listener);
    return () => void this.#joined.delete(listener);
  }

  /**
   * Subscribes to something on each shard, and on those that join.
   *
   * @param begin subscribes on one shard, and returns a function that ends that.
   * @returns a function that ends all subscriptions.
   */
  subscribe(begin: (engine: RedisEngine, shard: number) => () => void): () => void {
    const ends: (() => void)[] = [];
    const stopWatching = this.watch({ joins: (shard) => void ends.push(begin(this.engine(shard), shard)) });
    return () => {
      stopWatching();
      for (const end of ends) end();
    };
  }

  /** Whether a shard answers. A shard that is about to be connected counts as one that does. */
  isUp(shard: number): boolean {
    return this.downFor(shard) === 0;
  }

  /** Returns for how long a shard has not answered, in milliseconds; 0 while it answers. */
  downFor(shard: number): number {
    const since = this.#failed.get(shard);
    const unconnected = since === undefined ? 0 : performance.now() - since;
    return Math.max(unconnected, this.#engines[shard]?.downFor() ?? 0);
  }

  /** The shards that answer. */
  up(): number[] {
    return [...this.all.keys()].filter((shard) => this.isUp(shard));
  }

  /** Returns the next shard for a job without a name: each in turn, except those that do not answer. */
  nextShard(): number {
    const { count } = this.#layout;
    for (let tries = 0; tries < count; tries++) {
      const shard = this.#next++ % count;
      if (this.isUp(shard)) return shard;
    }
    return this.#next++ % count;
  }

  candidates(place: ShardPlace): readonly number[] {
    return candidatesOf(place, this.#layout, this.first.now());
  }

  /**
   * Asks a shard.
   *
   * @throws {@link ShardDownError} if the shard does not answer for longer than {@link SHARD_PATIENCE_MS}. A command that
   *   changes something is not given up after it was sent.
   */
  async ask<T>(
    shard: number,
    request: (engine: RedisEngine) => Promise<T>,
    kind: "read" | "write" = "read",
  ): Promise<T> {
    const error = this.#downError(shard);
    if (error !== undefined) throw error;
    const asked = request(this.engine(shard));
    return await (kind === "write" ? asked : this.#unlessDown(shard, asked));
  }

  async #unlessDown<T>(shard: number, asked: Promise<T>): Promise<T> {
    const { promise: down, reject } = Promise.withResolvers<never>();
    down.catch(() => {});
    const timer = setInterval(() => {
      const error = this.#downError(shard);
      if (error !== undefined) reject(error);
    }, CHECK_INTERVAL_MS).unref();
    try {
      return await Promise.race([asked, down]);
    } finally {
      clearInterval(timer);
    }
  }

  #downError(shard: number): ShardDownError | undefined {
    const down = this.downFor(shard);
    // A shard that was never connected has no connection on which a command could wait.
    if (down < SHARD_PATIENCE_MS && !this.#failed.has(shard)) return undefined;
    return new ShardDownError(
      `Shard ${shard} of ${this.address.shown} (${this.#layout.places[shard] ?? "unknown"}) has not answered for ${Math.round(down / 1_000)} s; its jobs wait and go on when it answers, and all other shards work. Start it, or wait until its replica takes over`,
    );
  }

  /** Connects to all shards. Those that do not answer are connected later, unless none answers. */
  async connect(): Promise<void> {
    const before = this.#engines.length;
    const first = await Promise.allSettled(this.#engines.map((engine) => engine.connect()));
    const errors = first.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    if (errors.length === first.length) throw errors[0];
    for (const [shard, result] of first.entries())
      if (result.status === "rejected") this.#failed.set(shard, performance.now());
    const texts = await this.#readTexts();
    await this.#begin(texts, errors);
    const all = await Promise.allSettled(
      this.#engines.map((engine, shard) =>
        this.#failed.has(shard) ? Promise.reject(new Error("It did not answer before.")) : engine.connect(),
      ),
    );
    for (const [shard, result] of all.entries()) {
      if (result.status === "rejected") this.#connectLater(shard);
      else if (shard >= before) for (const listener of this.#joined) listener.joins(shard);
    }
    this.#timer ??= setInterval(() => void this.refresh().catch(() => {}), READ_INTERVAL_MS).unref();
  }

  /** Reads the records of all shards that answer; null stands for a shard without a record. */
  async #readTexts(): Promise<Map<number, string | null>> {
    const texts = new Map<number, string | null>();
    const read = async (engine: RedisEngine, shard: number): Promise<void> => {
      if (engine.state === "open" && this.isUp(shard)) texts.set(shard, await engine.shardRecord().read());
    };
    await Promise.allSettled(this.#engines.map(read));
    return texts;
  }

  /** Takes the stored layout over, or stores the first one. */
  async #begin(texts: ReadonlyMap<number, string | null>, errors: readonly unknown[]): Promise<void> {
    const stored = [...texts].flatMap(([shard, text]) =>
      text === null ? [] : [{ shard, ...parseLayout(text) }],
    );
    const latest = stored.reduce<(typeof stored)[number] | undefined>(
      (best, each) => (best === undefined || each.epoch > best.epoch ? each : best),
      undefined,
    );
    if (latest === undefined) {
      if (errors.length > 0) throw errors[0];
      return await this.#beginFirst();
    }
    this.#checkSame(latest.count, stored);
    this.#apply(latest);
    // A shard that was down during a change, or lost its data, receives the layout again.
    for (const [shard, text] of texts)
      if (text === null || parseLayout(text).epoch < latest.epoch) await this.#write(shard, this.#layout);
  }

  async #beginFirst(): Promise<void> {
    if (this.#isForChange) return;
    const { isCluster, count, urls, shown } = this.address;
    const first = this.#engines[0]!;
    if (count > 1 && (await first.queueNames()).length > 0)
      throw new ShardsDifferError(
        `${shown} names ${count} shards, and its first one has a queue without shards; divide it by: taskloom shards --set ${count} --engine ${shown}`,
      );
    const places = isCluster ? await this.chooseTags([], count) : urls.map(serverOfUrl);
    const layout: ShardLayout = { epoch: 1, count, earlier: [], keysFrom: 0, places };
    if (await first.shardRecord().begin(layoutText(layout, 0))) this.#apply(layout);
    else {
      const text = await first.shardRecord().read();
      const theirs = parseLayout(text!);
      this.#checkSame(theirs.count, [{ ...theirs, shard: 0 }]);
      this.#apply(theirs);
    }
    for (const engine of this.#engines) await engine.connect();
    for (let shard = 1; shard < this.#engines.length; shard++) await this.#write(shard, this.#layout);
  }

  /** @throws {@link ShardsDifferError} if this client names another number or another order of shards. */
  #checkSame(count: number, stored: readonly { readonly shard: number; readonly index: number }[]): void {
    const { shown, count: named } = this.address;
    if (named !== count && !this.#isForChange)
      throw new ShardsDifferError(
        `${shown} names ${named} shards, and the queue has ${count}; correct the address, or change the queue by: taskloom shards --set ${named} --engine ${shown}`,
      );
    const moved = stored.find(({ shard, index }) => shard !== index);
    if (moved !== undefined)
      throw new ShardsDifferError(
        `${shown} names shard ${moved.index} of the queue as its shard ${moved.shard}; name the servers in the order in which \`taskloom shards\` shows them`,
      );
  }

  async chooseTags(given: readonly string[], count: number): Promise<readonly string[]> {
    const ranges = await this.#engines[0]!.clusterSlots();
    return chooseTags(given, count, ranges ?? []);
  }

  #apply(layout: ShardLayout): void {
    const { epoch, count, earlier, keysFrom, places } = layout;
    this.#layout = { epoch, count, earlier, keysFrom, places };
    this.#readAt = performance.now();
    for (let shard = this.#engines.length; shard < allShards(layout); shard++) {
      this.#open(shard);
      // A shard of the first layout is connected by the caller, and a later one joins when it is connected.
      if (this.#timer !== undefined) this.#connectLater(shard, 0);
    }
    for (let shard = this.#engines.length - 1; shard >= allShards(layout); shard--) this.#leave(shard);
  }

  /** Closes a shard that has no jobs any more. */
  #leave(shard: number): void {
    const leaving = [...this.#joined].map(async (listener) => await listener.leaves?.(shard));
    const engine = this.#engines.pop()!;
    this.#failed.delete(shard);
    void Promise.allSettled(leaving).then(() => engine.close().catch(() => {}));
  }

  #open(shard: number): void {
    const { urls, isCluster } = this.address;
    const place = this.#layout.places[shard]!;
    const engine = isCluster
      ? this.#openEngine(urls[0]!, prefixOfTag(place))
      : this.#openEngine(urls[shard] ?? urlOfServer(urls[0]!, place), prefixAt(urls[0]!));
    this.#engines[shard] = engine;
  }

  #openEngine(url: string, prefix: string): RedisEngine {
    return RedisEngine.open(url, { prefix, replyAddress: this.#replyAddress });
  }

  /** Connects to a shard until it answers. */
  #connectLater(shard: number, pause = CONNECT_PAUSE_MS): void {
    if (!this.#failed.has(shard)) this.#failed.set(shard, performance.now());
    setTimeout(() => {
      const engine = this.#engines[shard];
      if (this.#isClosed || engine === undefined) return;
      engine.connect().then(
        () => {
          if (this.#engines[shard] !== engine || !this.#failed.delete(shard)) return;
          for (const listener of this.#joined) listener.joins(shard);
        },
        () => this.#connectLater(shard),
      );
    }, pause).unref();
  }

  async #write(shard: number, layout: ShardLayout): Promise<void> {
    await this.#engines[shard]!.shardRecord().write(layoutText(layout, shard));
  }

  /** Reads the layout of any shard that answers, and takes a new one over. */
  refresh(): Promise<void> {
    this.#reading ??= this.#refresh().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #refresh(): Promise<void> {
    const up = this.up().filter((each) => each < this.#layout.count);
    const shard = up[Math.trunc(Math.random() * up.length)];
    if (shard === undefined) return;
    const begun = performance.now();
    const text = await this.ask(shard, (engine) => engine.shardRecord().read());
    if (text === null) return await this.#write(shard, this.#layout); // The shard has lost its data.
    const layout = parseLayout(text);
    if (layout.epoch > this.#layout.epoch) this.#apply(layout);
    else if (layout.epoch < this.#layout.epoch) await this.#write(shard, this.#layout);
    this.#readAt = begun;
  }

  /** Resolves when the layout is recent enough to add a job whose shard is not a part of its id. */
  async fresh(): Promise<void> {
    const isOld = (): boolean => performance.now() - this.#readAt > LAYOUT_LEASE_MS / 2;
    while (isOld()) {
      await this.refresh().catch(() => {});
      if (isOld()) await delay(CHECK_INTERVAL_MS);
    }
  }

  /**
   * Stores a new layout on all shards.
   *
   * @throws {@link ShardDownError} if a shard does not answer: the layout then changes nowhere, or the call is repeated.
   */
  async store(change: Omit<ShardLayout, "epoch">): Promise<void> {
    const layout: ShardLayout = { ...change, epoch: this.#layout.epoch + 1 };
    const before = this.#engines.slice();
    for (let shard = 0; shard < Math.min(before.length, allShards(layout)); shard++)
      await this.ask(shard, (engine) => engine.shardRecord().write(layoutText(layout, shard)), "write");
    this.#apply(layout);
  }

  /** Opens shards that are not in the layout yet, so that they can be prepared. */
  async prepare(places: readonly string[]): Promise<void> {
    this.#layout = { ...this.#layout, places };
    for (let shard = this.#engines.length; shard < places.length; shard++) {
      this.#open(shard);
      await this.#engines[shard]!.connect();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await Promise.all(this.#engines.map((engine) => engine.close()));
  }
}
