/** A measurement and its bounds. */
export interface Row {
  what: string;
  unit: string;
  /** The figures by name; ours is the first. */
  values: Map<string, number>;
  bounds: { text: string; holds: boolean }[];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
}

/** The number of rounds that do not count, in which V8 compiles all sides. */
const WARM_UP = 4;

/**
 * Runs each side once in a round, so a disturbance of the machine affects all sides. Takes the lower quartile
 * of each side over the rounds, because a disturbance only ever adds time.
 */
export async function inTurns(
  rounds: number,
  runs: Record<string, () => Promise<number>>,
): Promise<Map<string, number>> {
  const samples = new Map<string, number[]>();
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const [name, measure] of Object.entries(runs)) {
      const value = await measure();
      if (round >= 0) samples.set(name, [...(samples.get(name) ?? []), value]);
    }
  }
  return new Map([...samples].map(([name, values]) => [name, quantile(values, 0.25)]));
}

function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(2);
}

export function print(rows: readonly Row[]): void {
  const ours = "Taskloom";
  for (const row of rows) {
    const own = row.values.get(ours)!;
    const others = [...row.values]
      .filter(([name]) => name !== ours)
      .map(([name, value]) => `${name} ${show(value)} (${show(value / own)}x)`);
    console.log(`${row.what}: ${show(own)} ${row.unit}${others.length > 0 ? `; ${others.join(", ")}` : ""}`);
    for (const bound of row.bounds) console.log(`  ${bound.holds ? "holds " : "MISSED"} ${bound.text}`);
  }
}
