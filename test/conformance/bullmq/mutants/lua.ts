import type { Language } from "./text-mutant.ts";

const other =
  (pairs: Readonly<Record<string, string>>) =>
  (match: string): string =>
    pairs[match] ?? match;

/** Systematic changes of the driver's Lua scripts. */
export const lua: Language = {
  // Comments, the heads and the ends of blocks, and names without a value of their own.
  leftOut: /^\s*(--|end\b|else$|function\b|local own = |return t\.answers|local call\b[^']*$)/,
  statement: /^\s*(redis\.call|call|t\.\w+)\(.*\)$|^\s*if [^=]* then (redis\.call|call|t\.\w+)\(.*\) end$/,
  changes: [
    { kind: "comparison", pattern: /==|~=/g, by: other({ "==": "~=", "~=": "==" }) },
    {
      kind: "comparison",
      pattern: /(?<= )(<=|>=|<|>)(?= )/g,
      by: other({ "<": "<=", "<=": "<", ">": ">=", ">=": ">" }),
    },
    { kind: "condition", pattern: /\b(and|or)\b/g, by: other({ and: "or", or: "and" }) },
    { kind: "condition", pattern: /\bnot /g, by: "" },
    { kind: "constant", pattern: /\b(true|false)\b/g, by: other({ true: "false", false: "true" }) },
    { kind: "constant", pattern: /(?<=[ (-])\d+(?=[,) ]|$)/g, by: (match) => String(Number(match) + 1) },
    { kind: "score", pattern: /0x1\d+/g, by: (match) => `${match}0` },
    { kind: "score", pattern: /(?<=\w )[+-](?= \w)/g, by: other({ "+": "-", "-": "+" }) },
    {
      kind: "command",
      pattern: /'(LPUSH|RPUSH|ZRANGE|ZREVRANGE|HSET|PTTL|XTRIM)'/g,
      by: other({
        "'LPUSH'": "'RPUSH'",
        "'RPUSH'": "'LPUSH'",
        "'ZRANGE'": "'ZREVRANGE'",
        "'ZREVRANGE'": "'ZRANGE'",
        "'HSET'": "'HSETNX'",
        "'PTTL'": "'TTL'",
        "'XTRIM'": "'XLEN'",
      }),
    },
    {
      kind: "word",
      pattern: /'(waiting|delayed|active|completed|failed|added|duplicated|drained)'/g,
      by: (match) => match.replace(/'$/, "2'"),
    },
    {
      kind: "drop a field",
      pattern:
        /'(atm|returnvalue|finishedOn|failedReason|stacktrace|pb|ats|processedOn|delay|priority|timestamp|data|name|prev)', [\w.[\]]+(, )?/g,
      by: "",
    },
  ],
};
