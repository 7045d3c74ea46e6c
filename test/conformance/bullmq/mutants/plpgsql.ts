import type { Language } from "./text-mutant.ts";

const other =
  (pairs: Readonly<Record<string, string>>) =>
  (match: string): string =>
    pairs[match] ?? match;

/** Systematic changes of the driver's functions on PostgreSQL. */
export const plpgsql: Language = {
  // Comments, declarations, and the parts that only sessions at the same time, the planner or a time of the server see.
  leftOut:
    /^\s*(--|CREATE |\) RETURNS|RETURNS|LANGUAGE|SET |AS \$|\$\$|DECLARE|BEGIN|END|ELSE$|LOOP|[pv]_\w+ (text|integer|bigint|boolean|jsonb|job_state|record)|codes integer|id text|finished_at_ms bigint, pro|failed_reason text|scheduler_id text)|advisory|hashtext|SKIP LOCKED|FOR UPDATE|clock_timestamp|#variable|FROM job_dependency WHERE parent_queue = job\.queue/,
  statement: /^\s*(PERFORM .*;|[a-z_]+ = [^;]*,)$/,
  changes: [
    {
      kind: "comparison",
      pattern: /(?<= )(<>|<=|>=|<|>)(?= )/g,
      by: other({ "<": "<=", "<=": "<", ">": ">=", ">=": ">", "<>": "=" }),
    },
    { kind: "comparison", pattern: /(?<=(?:IF|WHERE|AND|OR|ON|WHEN)\b[^=:]* )=(?= )/g, by: "<>" },
    { kind: "condition", pattern: /\b(AND|OR)\b/g, by: other({ AND: "OR", OR: "AND" }) },
    { kind: "condition", pattern: /\bNOT /g, by: "" },
    { kind: "constant", pattern: /\b(true|false)\b/g, by: other({ true: "false", false: "true" }) },
    {
      kind: "constant",
      pattern: /(?<=[ (-])(?<!SELECT )\d+(?=[,;) ]|$)/g,
      by: (match) => String(Number(match) + 1),
    },
    { kind: "order", pattern: /(?<= )[+-](?= )/g, by: other({ "+": "-", "-": "+" }) },
    { kind: "order", pattern: / DESC\b/g, by: "" },
    {
      kind: "order",
      pattern: /\b(seq|priority)\b(?=( LIMIT|;$|\) FROM|$))/g,
      by: (match) => `${match} DESC`,
    },
    { kind: "order", pattern: /(?<=ORDER BY )\w+\.ord\b/g, by: (match) => `${match} DESC` },
    {
      kind: "constant",
      pattern: /\b(max|LEAST|abs)\(/g,
      by: other({ "max(": "min(", "LEAST(": "GREATEST(", "abs(": "(" }),
    },
    {
      kind: "word",
      pattern:
        /'(waiting|delayed|active|completed|failed|added|duplicated|drained|retries-exhausted|paused|concurrency)'/g,
      by: (match) =>
        match === "'failed'" ? "'completed'" : match === "'completed'" ? "'failed'" : "'delayed'",
    },
    {
      kind: "drop a field",
      pattern: /'(prev|returnvalue|name|delay|failedReason|attemptsMade)', [^,)]+(\(\w*\))?(?=\))/g,
      by: "'x', 1",
    },
    {
      kind: "drop a field",
      pattern: /\b(ended|numbered|job)\.(reason|result|stack|finished|id)\b/g,
      by: "NULL",
    },
  ],
};
