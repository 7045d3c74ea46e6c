import type { KeepJobs } from "bullmq";
import { Random } from "../random.ts";
import type { Book } from "./book.ts";
import type { AddedJob, Claim, End, FlowNode, Operation, Settings } from "./operation.ts";

const TOKENS = ["worker-1:1", "worker-2:1", "worker-2:2"];
const KEEPS: readonly KeepJobs[] = [
  { count: -1 },
  { count: 0 },
  { count: 1 },
  { count: 2 },
  { count: 5 },
  { age: 3_600 },
  { age: 1 },
  { age: 0 },
  { age: 2, count: 3 },
  { age: 1, limit: 2 },
  { age: 5, limit: 1, count: 10 },
  { age: 1, limit: 2_000 },
];
const TEXTS = ['{"value":1}', "null", '"ü – 漢字 😀"', "", "x".repeat(300)];
/** The probability that a sequence begins with more due or ended jobs than one command of BullMQ moves or removes. */
const CROWDED = 0.03;
const CROWD = 1_030;
const POLICIES = [
  "failParentOnFailure",
  "continueParentOnFailure",
  "ignoreDependencyOnFailure",
  "removeDependencyOnFailure",
];

/** Generates one sequence: each operation depends on the seed, and on the jobs that the earlier ones left in the book. */
export class Sequence {
  readonly settings: Settings;
  readonly length: number;
  readonly #random: Random;
  readonly #book: Book;
  /** The operations that come before the random ones. */
  readonly #first: Operation[] = [];
  #ids = 0;

  constructor(seed: number, index: number, book: Book) {
    this.#random = new Random(seed, index);
    this.#book = book;
    const random = this.#random;
    this.settings = {
      limiter: random.chance(0.15) ? { max: 1 + random.below(4), duration: 60_000 } : undefined,
      metrics: random.chance(0.1) ? 3 : undefined,
      maxEvents: random.chance(0.4) ? random.pick([1, 20, 120]) : undefined,
    };
    this.length = 20 + random.below(40);
    if (random.chance(CROWDED)) {
      this.#first.push(...(random.chance(0.5) ? this.#crowdOfDueJobs() : this.#crowdOfEndedJobs()));
      this.length = this.#first.length + 12;
    }
  }

  next(): Operation {
    const first = this.#first.shift();
    if (first !== undefined) return first;
    const random = this.#random;
    const [, make] = this.#kinds[random.weighted(this.#kinds.map(([weight]) => weight))]!;
    return make();
  }

  readonly #kinds: readonly (readonly [weight: number, make: () => Operation])[] = [
    [20, () => ({ kind: "add", jobs: this.#list(few(this.#random, 8), () => this.#job()) })],
    [7, () => ({ kind: "flow", flow: this.#flow() })],
    [40, () => this.#turn()],
    [8, () => ({ kind: "advance", milliseconds: this.#random.pick([1, 3, 50, 900, 5_000, 61_000]) })],
    [1, () => ({ kind: "pause" })],
    [2, () => ({ kind: "resume" })],
    [1, () => ({ kind: "limit rate", max: 1 + this.#random.below(5), duration: 60_000 })],
    [1, () => ({ kind: "limit concurrency", count: 1 + this.#random.below(8) })],
    [2, () => ({ kind: "remove limits" })],
    [2, () => ({ kind: "expire limit" })],
    [0.5, () => ({ kind: "old marker", isNext: this.#random.chance(0.7) })],
    [2, () => ({ kind: "recover stalled" })],
    [2, () => ({ kind: "clean", state: this.#random.pick(["completed", "failed", "delayed", "wait"]) })],
    [2, () => ({ kind: "lose lock", ...this.#held() })],
    [1, () => ({ kind: "lose priority", ...this.#any() })],
    [0.7, () => ({ kind: "leave active list", ...this.#held() })],
    [3, () => ({ kind: "remove", ...this.#any() })],
    [3, () => ({ kind: "retry", ...this.#any() })],
    [2, () => ({ kind: "promote", ...this.#any() })],
    [1, () => ({ kind: "log", ...this.#any() })],
    [3, () => ({ kind: "put back", ...this.#held() })],
    [3, () => ({ kind: "retry later", delay: this.#random.below(1_000), ...this.#held() })],
    [2, () => ({ kind: "change delay", delay: this.#random.below(1_000), ...this.#any() })],
    [
      2,
      () => ({
        kind: "change priority",
        priority: this.#random.below(4),
        lifo: this.#random.chance(0.3),
        ...this.#any(),
      }),
    ],
  ];

  #list<T>(length: number, make: () => T): T[] {
    return Array.from({ length }, make);
  }

  /** Returns a job that a worker holds, mostly with its token. */
  #held(): { id: string; token: string } {
    const { held } = this.#book;
    if (held.size === 0 || this.#random.chance(0.05)) return this.#any();
    // Jobs end about in the order of their claims.
    const early = this.#random.chance(0.5) ? 4 : held.size;
    const [id, token] = this.#random.pick([...held].slice(0, early));
    return { id, token: this.#random.chance(0.9) ? token : this.#random.pick([...TOKENS, "0"]) };
  }

  #any(): { id: string; token: string } {
    const { known, held } = this.#book;
    const id = known.size === 0 || this.#random.chance(0.03) ? "ghost" : this.#random.pick([...known]);
    return { id, token: held.get(id) ?? this.#random.pick(TOKENS) };
  }

  #job(): AddedJob {
    const random = this.#random;
    const opts: Record<string, unknown> = {};
    const add = (probability: number, name: string, value: () => unknown): void => {
      if (random.chance(probability)) opts[name] = value();
    };
    add(0.3, "attempts", () => random.below(4));
    add(0.2, "delay", () => random.pick([0, 1, 5, 100, 1_000, 60_000]));
    add(0.2, "priority", () => random.below(4));
    add(0.1, "lifo", () => true);
    add(0.35, "jobId", () => `job-${random.below(25)}`);
    add(0.03, "jobId", () => random.pick(["12", "a:b", "a:b:c", "0:1"]));
    add(0.1, "backoff", () => random.pick([5, { type: "exponential", delay: 3 }, { type: "fixed" }]));
    add(0.1, "removeOnComplete", () => random.pick([true, false, 3, { age: 5, count: 2 }]));
    add(0.1, "removeOnFail", () => random.pick([true, 10, { age: 1.5 }]));
    add(0.05, "keepLogs", () => 2);
    add(0.02, "timestamp", () => 1_700_000_000_000 + random.below(1_000));
    add(0.02, "delay", () => random.pick([1.5, -3, null]));
    add(0.02, "telemetry", () => ({ metadata: "trace" }));
    add(0.02, "priority", () => random.pick([1.5, 3_000_000, -1]));
    add(0.12, "deduplication", () => this.#deduplication());
    const parent = random.chance(0.08) ? this.#any().id : undefined;
    if (parent !== undefined || random.chance(0.02)) add(0.7, random.pick(POLICIES), () => true);
    return { name: random.pick(["send", "größe"]), data: { n: random.below(100) }, opts, parent };
  }

  #crowdOfDueJobs(): Operation[] {
    return [
      { kind: "add", jobs: this.#list(CROWD, () => this.#delayedJob()) },
      { kind: "advance", milliseconds: 50 },
    ];
  }

  /** Ends a crowd of jobs that are kept, and then a few whose retention removes the crowd. */
  #crowdOfEndedJobs(): Operation[] {
    const token = TOKENS[0]!;
    let id = 0;
    const add = (count: number): Operation => ({
      kind: "add",
      jobs: this.#list(count, () => ({ name: "send", data: {}, opts: {} })),
    });
    const claim = (count: number): Operation => ({
      kind: "turn",
      ends: [],
      claim: { count, token, workerName: undefined },
    });
    const end = (count: number, keep: KeepJobs): Operation => ({
      kind: "turn",
      ends: this.#list(count, () => ({
        id: String(++id),
        token,
        outcome: "completed",
        text: "1",
        stacktrace: undefined,
        ago: 0,
        keep,
        attempts: 0,
      })),
      claim: undefined,
    });
    const keep = this.#random.pick<KeepJobs>([{ count: 5 }, { age: 1 }, { age: 1, limit: 2_000 }]);
    return [
      add(CROWD),
      claim(CROWD),
      end(CROWD, { count: -1 }),
      add(12),
      { kind: "advance", milliseconds: 5_000 },
      claim(12),
      end(6, keep),
    ];
  }

  /** Returns a job that is due within some milliseconds. */
  #delayedJob(): AddedJob {
    const random = this.#random;
    const opts: Record<string, unknown> = { delay: 1 + random.below(9) };
    if (random.chance(0.2)) opts["priority"] = 1 + random.below(3);
    return { name: "send", data: {}, opts };
  }

  #deduplication(): Record<string, unknown> {
    const random = this.#random;
    const options: Record<string, unknown> = { id: `same-${random.below(3)}` };
    for (const [name, value] of [
      ["ttl", 600_000],
      ["extend", true],
      ["replace", true],
      ["keepLastIfActive", true],
    ] as const)
      if (random.chance(0.3)) options[name] = value;
    return options;
  }

  #flow(): FlowNode {
    const random = this.#random;
    const id = (): string => `flow-${this.#ids++}`;
    const children = this.#list(few(random, 4), (): FlowNode => {
      const opts: Record<string, unknown> = { jobId: id() };
      if (random.chance(0.5)) opts[random.pick(POLICIES)] = true;
      if (random.chance(0.1)) opts["delay"] = 5;
      return { lane: "main", name: "child", data: {}, opts, children: [] };
    });
    const opts: Record<string, unknown> = { jobId: id() };
    if (random.chance(0.2)) opts["priority"] = 1;
    if (random.chance(0.1)) opts["delay"] = 50;
    return { lane: random.chance(0.7) ? "main" : "other", name: "parent", data: {}, opts, children };
  }

  #turn(): Operation {
    const random = this.#random;
    const { size } = this.#book.held;
    const count = random.chance(0.9) ? Math.min(size, random.below(7)) : random.below(80);
    const ends = this.#list(count, () => this.#end());
    // Most turns end each job once; the driver splits the others.
    const distinct = random.chance(0.9) ? [...new Map(ends.map((end) => [end.id, end])).values()] : ends;
    return { kind: "turn", ends: distinct, claim: random.chance(0.85) ? this.#claim() : undefined };
  }

  #end(): End {
    const random = this.#random;
    const isFailed = random.chance(0.4);
    return {
      ...this.#held(),
      outcome: isFailed ? "failed" : "completed",
      text: random.pick(TEXTS),
      stacktrace: isFailed && random.chance(0.9) ? '["Error: x"]' : undefined,
      ago: random.chance(0.75) ? 0 : random.pick([1, 900, 1_500, 6_000]),
      // Neighbours mostly have the same retention.
      keep: random.chance(0.6) ? KEEPS[this.#book.known.size % KEEPS.length]! : random.pick(KEEPS),
      attempts: random.below(3),
    };
  }

  #claim(): Claim {
    const random = this.#random;
    return {
      count: random.chance(0.2) ? random.below(80) : random.below(8),
      token: random.chance(0.97) ? random.pick(TOKENS) : "0",
      workerName: random.chance(0.3) ? "a worker" : undefined,
    };
  }
}

/** Returns a number up to a bound; small numbers are more probable. */
function few(generator: Random, bound: number): number {
  return 1 + Math.min(generator.below(bound), generator.below(bound));
}
