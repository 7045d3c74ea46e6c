import type { Seeded } from "./seeded.ts";

const RealDate = Date;
let time = 0;
let random: Seeded | null = null;

/**
 * `Date` during a generator's turn. It makes real dates, so `instanceof` and the wire see no difference, but its
 * present is the tick's.
 */
function StandInDate(...args: unknown[]): unknown {
  if (new.target === undefined) return new RealDate(time).toString();
  const made = args.length === 0 ? [time] : args;
  return Reflect.construct(RealDate, made, new.target === (StandInDate as unknown) ? RealDate : new.target);
}
StandInDate.prototype = RealDate.prototype;
Object.defineProperties(StandInDate, {
  name: { value: "Date" },
  length: { value: 7 },
  parse: { value: RealDate.parse },
  UTC: { value: RealDate.UTC },
  now: { value: () => time },
});

const scope = globalThis as { Date: unknown };
const standRandom = (): number => random!.random();
const standNow = (): number => time - performance.timeOrigin;
const standUuid = (): string => random!.uuid();

interface Saved {
  readonly date: unknown;
  readonly random: () => number;
  readonly time: number;
  readonly seeded: Seeded | null;
}

const saved: Saved[] = [];

/**
 * Makes `Date`, `Math.random`, `performance.now` and `crypto.randomUUID` those of a run until `endStandIns`. The stretch
 * in between has to be synchronous, since the globals are everybody's. Code that took a copy of a function before, such
 * as `const { random } = Math` at the top of a module, is not reached; a replay finds it.
 */
export function beginStandIns(now: number, seeded: Seeded): void {
  saved.push({ date: scope.Date, random: Math.random, time, seeded: random });
  time = now;
  random = seeded;
  scope.Date = StandInDate;
  Math.random = standRandom;
  if (saved.length > 1) return;
  // Both are methods of prototypes; an own property covers them and is deleted afterwards. To define one costs more.
  performance.now = standNow;
  crypto.randomUUID = standUuid;
}

export function endStandIns(): void {
  const before = saved.pop()!;
  scope.Date = before.date;
  Math.random = before.random;
  time = before.time;
  random = before.seeded;
  if (saved.length > 0) return;
  Reflect.deleteProperty(performance, "now");
  Reflect.deleteProperty(crypto, "randomUUID");
}
