/**
 * A trace split by task: time, `cancelling()` count, statement, value or error, line by line. Iterations, the
 * identities of errors and the order among tasks are left out. reference.py does the same.
 */
export type Outcome = Readonly<Record<string, readonly string[]>>;

export function outcomeOf(trace: readonly string[]): Outcome {
  const tasks: Record<string, string[]> = {};
  for (const line of trace) {
    const { time, task, count, rest } =
      /^(?<time>\S+) \S+ (?<task>[^\s~]+)~?(?<count>\d*) (?<rest>.*)$/s.exec(line)!.groups!;
    (tasks[task!] ??= []).push(`${time} ${count} ${rest!.replaceAll(/#\d+/g, "")}`);
  }
  return tasks;
}

/**
 * Returns the first line of any task in which an outcome differs from the expected outcome, with the lines
 * before it.
 */
export function outcomeDifference(expected: Outcome, actual: Outcome): string | undefined {
  let earliest: { at: number; text: string } | undefined;
  for (const task of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    const wanted = expected[task] ?? [];
    const got = actual[task] ?? [];
    for (let i = 0; i < Math.max(wanted.length, got.length); i++) {
      if (wanted[i] === got[i]) continue;
      const at = Math.min(...[wanted[i], got[i]].map((line) => Number(line?.split(" ")[0] ?? Infinity)));
      if (earliest !== undefined && earliest.at <= at) break;
      const before = wanted.slice(Math.max(0, i - 8), i).map((line) => `    ${line}`);
      earliest = {
        at,
        text: [
          `task ${task}, line ${i + 1}`,
          ...before,
          `  - ${wanted[i] ?? "(the end)"}`,
          `  + ${got[i] ?? "(the end)"}`,
        ].join("\n"),
      };
      break;
    }
  }
  return earliest?.text;
}
