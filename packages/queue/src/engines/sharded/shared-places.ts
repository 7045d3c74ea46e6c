import type { LanePlaces } from "../../contract/engine-worker.ts";

/** The lane of one shard, as the shared places see it. */
export interface PlaceMember {
  /** Whether the shard does not answer. Its jobs then hold places only while their bodies run. */
  isDown(): boolean;
  /** The number of bodies of its jobs that run now. */
  bodies(): number;
  /** Lets the lane look for jobs again. */
  wake(): void;
}

/** The time after which a lane looks for jobs again whose shard did not answer, in milliseconds. */
const DOWN_PAUSE_MS = 250;

/**
 * The places for jobs that the lanes of all shards of a worker share.
 *
 * Invariants:
 *
 * - At most `capacity` places are held. An end that is on its way holds none, since its body has run, so the claim that travels
 *   with it has its place.
 * - No shard starves. If several shards want places, each free place goes to the shard that holds the fewest of them, and
 *   among those to the shard that was served the longest ago. A shard that is loaded alone has all places.
 * - A shard that does not answer takes no place from the others: it reserves none, and ends that it cannot store hold none.
 *
 * A fixed share for each shard was rejected: with a concurrency below the number of shards it would be no place at all, and
 * an idle shard's share would be lost.
 */
export class SharedPlaces {
  #capacity: number;
  readonly #members: Member[] = [];
  #served = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Adds the lane of a shard. */
  join(lane: PlaceMember): LanePlaces {
    const member = new Member(lane, this);
    this.#members.push(member);
    return member;
  }

  resize(capacity: number): void {
    this.#capacity = capacity;
    this.wakeWaiting();
  }

  /** The number of free places; below 0 after the number of places was lowered. */
  get free(): number {
    let held = 0;
    for (const member of this.#members) held += member.effective;
    return this.#capacity - held;
  }

  /** Returns how many of the free places a lane receives. */
  shareOf(member: Member, wanted: number): number {
    const available = this.free;
    if (available <= 0) return 0;
    const rivals = this.#members.filter((each) => each !== member && each.waiting > 0 && !each.lane.isDown());
    if (rivals.length === 0) return Math.min(wanted, available);
    return shareAmong(
      { held: member.held, wanted, servedAt: member.servedAt },
      rivals.map(({ held, waiting, servedAt }) => ({ held, wanted: waiting, servedAt })),
      available,
    );
  }

  /** Lets the lanes that wait for places reserve again, those with the fewest places first. */
  wakeWaiting(): void {
    if (this.free <= 0) return;
    const waiting = this.#members.filter((each) => each.waiting > 0 || each.wantsNews);
    if (waiting.length === 0) return;
    waiting.sort((a, b) => a.held - b.held || a.servedAt - b.servedAt);
    for (const member of waiting) {
      member.wantsNews = false;
      member.lane.wake();
    }
  }

  /** Returns the number of the present reservation. */
  serve(): number {
    return ++this.#served;
  }
}

/** A lane that wants places. */
interface Claimant {
  readonly held: number;
  readonly wanted: number;
  readonly servedAt: number;
}

/**
 * Returns the part of `available` places that the first claimant receives if each place goes to the claimant with the fewest
 * places, and among equals to the one that was served the longest ago.
 */
export function shareAmong(own: Claimant, rivals: readonly Claimant[], available: number): number {
  const claimants = [own, ...rivals].map(({ held, wanted, servedAt }) => ({
    held,
    wanted,
    servedAt,
    given: 0,
  }));
  const [mine] = claimants;
  for (let left = available; left > 0; left--) {
    let next: (typeof claimants)[number] | undefined;
    for (const each of claimants) {
      if (each.given >= each.wanted) continue;
      if (next === undefined || isBefore(each, next)) next = each;
    }
    if (next === undefined) break;
    next.given++;
  }
  return mine!.given;
}

function isBefore(a: Claimant & { given: number }, b: Claimant & { given: number }): boolean {
  const [heldByA, heldByB] = [a.held + a.given, b.held + b.given];
  return heldByA < heldByB || (heldByA === heldByB && a.servedAt < b.servedAt);
}

/** The places of one lane. */
class Member implements LanePlaces {
  readonly lane: PlaceMember;
  readonly #all: SharedPlaces;
  /** The places of running jobs, of ends that are not stored, and of claims on their way. */
  held = 0;
  /** The number of places that the lane has asked for and not received. */
  waiting = 0;
  /** The number of the last reservation, by which the lanes that hold equally many places take turns. */
  servedAt = 0;
  /** Whether the lane has no jobs, and begins to wait for some when a place is free. */
  wantsNews = false;
  #isWakingLater = false;

  constructor(lane: PlaceMember, all: SharedPlaces) {
    this.lane = lane;
    this.#all = all;
  }

  /** The places that the others cannot use. */
  get effective(): number {
    return this.lane.isDown() ? this.lane.bodies() : this.held;
  }

  hasRoom(): boolean {
    const isFree = this.#all.free > 0;
    this.wantsNews = !isFree;
    return isFree;
  }

  reserve(wanted: number, returning: number): number {
    this.held -= returning;
    if (this.lane.isDown()) {
      this.waiting = 0;
      this.#wakeLater();
      return 0;
    }
    const share = this.#all.shareOf(this, wanted);
    this.waiting = wanted - share;
    this.held += share;
    if (share > 0) this.servedAt = this.#all.serve();
    if (share < returning) this.#all.wakeWaiting();
    return share;
  }

  free(count: number): void {
    this.held -= count;
    this.#all.wakeWaiting();
  }

  rest(): void {
    this.waiting = 0;
    this.#all.wakeWaiting();
  }

  #wakeLater(): void {
    if (this.#isWakingLater) return;
    this.#isWakingLater = true;
    setTimeout(() => {
      this.#isWakingLater = false;
      this.lane.wake();
    }, DOWN_PAUSE_MS).unref();
  }
}
