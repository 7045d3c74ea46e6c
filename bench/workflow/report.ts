/** The lines of the bench, and whether a bound that was counted is missed. */
export const outcome = { hasMissedCounted: false };

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Returns the value below which a part of the values is. */
export function quantile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))]!;
}

/** A bound of a figure. The unit is part of the text; times of a peer end with "x". */
export type Bound =
  | { readonly atMost: number; readonly unit: string }
  | { readonly atLeast: number; readonly unit: string };

function holds(figure: number, bound: Bound): boolean {
  return "atMost" in bound ? figure <= bound.atMost : figure >= bound.atLeast;
}

function textOf(bound: Bound): string {
  return "atMost" in bound
    ? `at most ${bound.atMost}${bound.unit}`
    : `at least ${bound.atLeast}${bound.unit}`;
}

/** Returns a number with three significant digits. */
export function short(figure: number): string {
  return figure >= 100 ? String(Math.round(figure)) : String(Number(figure.toPrecision(3)));
}

/** Prints a measured figure. A machine that others use can miss its bound, so it does not fail the command. */
export function measured(what: string, figure: number, bound: Bound, behind = ""): void {
  const word = holds(figure, bound) ? "holds " : "MISSED";
  console.log(`${word} ${what}: ${short(figure)}${bound.unit} (${textOf(bound)})${behind && `; ${behind}`}`);
}

/** Prints a figure that was counted, which no other program on the machine can change. A missed bound fails the command. */
export function counted(what: string, figure: number, bound: Bound, behind = ""): void {
  if (!holds(figure, bound)) outcome.hasMissedCounted = true;
  measured(what, figure, bound, behind);
}

/** Prints a figure without a bound. */
export function told(what: string, figures: string): void {
  console.log(`       ${what}: ${figures}`);
}
