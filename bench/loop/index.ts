/**
 * Compares the loop's speed with its peers in one run. It prints a table, and exits with 1 if a bound is
 * missed. Each figure is the median of three processes, and each process prints the median of its rounds.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { findPython } from "../find-python.ts";

const ROUNDS = 3;
const here = import.meta.dirname;

function node(name: string): number {
  return JSON.parse(measured(name)) as number;
}

function measured(name: string): string {
  const script = join(here, "measures.ts");
  const flags = [
    "--conditions=@taskloom/source",
    "--expose-gc",
    "--max-old-space-size=4096",
    "--no-warnings",
  ];
  return execFileSync(process.execPath, [...flags, script, name], { encoding: "utf8", maxBuffer: 1e6 });
}

function onPython(kind: "asyncio" | "uvloop", name: string): number {
  const found = pythons[kind];
  if (found === undefined) return NaN;
  return Number(execFileSync(found.command, [join(here, "peers.py"), kind, name], { encoding: "utf8" }));
}

const pythons = { asyncio: findPython("asyncio"), uvloop: findPython("uvloop") };

/** Returns the median of several rounds, so that a disturbance of one round does not count. */
const figures = new Map<string, number>();
function figure(key: string, measure: () => number): number {
  let value = figures.get(key);
  if (value === undefined) {
    const values = Array.from({ length: ROUNDS }, measure).toSorted((a, b) => a - b);
    value = values[Math.floor(ROUNDS / 2)]!;
    figures.set(key, value);
    process.stderr.write(`${key}: ${value.toFixed(value < 10 ? 2 : 0)}\n`);
  }
  return value;
}
const ours = (name: string): number => figure(name, () => node(name));
const peer = (kind: "asyncio" | "uvloop", name: string): number =>
  figure(`${name}, ${kind}`, () => onPython(kind, name));

interface Row {
  what: string;
  ours: string;
  peer: string;
  ratio: string;
  bound: string;
  holds: "yes" | "NO" | "not installed";
}
const rows: Row[] = [];

function row(
  what: string,
  mine: number,
  unit: string,
  against: string,
  theirs: number,
  bound: string,
  holds: boolean,
): void {
  const isMissing = Number.isNaN(theirs);
  const show = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
  rows.push({
    what,
    ours: show(mine),
    peer: against === "" ? "" : isMissing ? `${against}: -` : `${against}: ${show(theirs)}`,
    ratio: against === "" || isMissing ? "" : `${(theirs / mine).toFixed(2)}x`,
    bound,
    holds: isMissing ? "not installed" : holds ? "yes" : "NO",
  });
}

/** Adds a row: at least `factor` times as fast as the peer. */
function faster(what: string, mine: number, against: string, theirs: number, factor: number): void {
  row(what, mine, "ns", against, theirs, `at least ${factor}x faster`, theirs / mine >= factor);
}
/** Adds a row: at most `factor` times the peer's time. */
function within(what: string, mine: number, against: string, theirs: number, factor: number): void {
  row(what, mine, "ns", against, theirs, `at most ${factor}x`, mine / theirs <= factor);
}
/** Adds a row: at most an amount. */
function below(what: string, mine: number, unit: string, most: number, against = "", theirs = 0): void {
  row(what, mine, unit, against, theirs, `at most ${most} ${unit}`, mine <= most);
}

const generator = "switch, generator";
within(generator, ours(generator), "native await", ours("native await"), 1.5);
faster(generator, ours(generator), "asyncio", peer("asyncio", "switch"), 10);
faster(generator, ours(generator), "uvloop", peer("uvloop", "switch"), 7);
faster(generator, ours(generator), "Effect", ours("switch, Effect"), 8);
faster(generator, ours(generator), "Effection", ours("switch, Effection"), 25);
within("switch, async", ours("switch, async"), "native await", ours("native await"), 5);
faster("switch, async", ours("switch, async"), "asyncio", peer("asyncio", "switch"), 4);
for (const count of ["1,000", "10,000", "100,000"]) {
  const sides = JSON.parse(measured(`switches of ${count} tasks`)) as Record<string, number>;
  process.stderr.write(`switches of ${count} tasks: ${JSON.stringify(sides)}\n`);
  const of = (side: string): number => sides[side] ?? NaN;
  const fresh = "fresh closures";
  within(`${count} tasks, generator`, of("generator"), "native", of("native"), 1.5);
  within(`${count} tasks, async`, of("async"), "native", of("native"), 5);
  within(
    `${count} tasks, generator, ${fresh}`,
    of(`generator, ${fresh}`),
    "native",
    of(`native, ${fresh}`),
    2,
  );
  within(`${count} tasks, async, ${fresh}`, of(`async, ${fresh}`), "native", of(`native, ${fresh}`), 6);
}
below(
  "an async await beside a spinning coroutine",
  ours("await beside a spinning coroutine") / 1000,
  "µs",
  50,
);
for (const shape of ["spawn + gather, one by one", "spawn + gather, all at once"]) {
  // With one task, asyncio goes through its selector three times for each task.
  faster(shape, ours(shape), "asyncio", peer("asyncio", shape), shape.endsWith("one") ? 15 : 1);
}
const spawned = JSON.parse(measured("spawn + gather by number of tasks")) as Record<string, number>;
for (const count of ["10,000", "100,000"]) {
  within(`spawn + gather of ${count}`, spawned[count] ?? NaN, "of 1,000", spawned["1,000"] ?? NaN, 2);
}
faster("callLater", ours("callLater"), "asyncio", peer("asyncio", "callLater"), 10);
faster("callLater", ours("callLater"), "setTimeout", ours("setTimeout"), 1);
faster("callLater, cancel", ours("callLater, cancel"), "asyncio", peer("asyncio", "callLater, cancel"), 10);
faster("callLater, cancel", ours("callLater, cancel"), "clearTimeout", ours("clearTimeout"), 1);
faster("queue put + get", ours("queue put + get"), "asyncio", peer("asyncio", "queue put + get"), 6);
within("resume at depth 100", ours("resume at depth 100"), "at depth 1", ours("resume at depth 1"), 2);
below(
  "memory, a sleeping task (1,000,000)",
  ours("memory of a sleeping task, bytes"),
  "bytes",
  500,
  "native",
  ours("memory of a sleeping native function, bytes"),
);
below(
  "a request while 10,000 tasks spin, p99",
  ours("fairness, p99") / 1e6,
  "ms",
  10,
  "a native chain",
  ours("fairness of a native promise chain") / 1e6,
);

console.table(rows);
const missed = rows.filter((each) => each.holds === "NO");
console.log(
  missed.length === 0 ? "every bound holds" : `missed: ${missed.map((each) => each.what).join(", ")}`,
);
process.exitCode = missed.length === 0 ? 0 : 1;
