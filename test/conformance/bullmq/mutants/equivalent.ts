import type { TextMutant } from "./text-mutant.ts";

/** Mutants that no sequence can tell from the original, each with the reason. */
export interface Equivalents {
  readonly reason: string;
  /** The line before and after the change, without the spaces around it. */
  readonly mutants: readonly (readonly [before: string, after: string])[];
}

export const EQUIVALENTS: readonly Equivalents[] = [
  {
    reason: "Only the size of the parts changes in which keys are deleted.",
    mutants: [
      ["if n > 6000 or i == #ids then", "if n >= 6000 or i == #ids then"],
      // The first key of the next part is then one that was deleted before.
      ["n = 0", "n = 1"],
    ],
  },
  {
    reason: "The guard only saves work: BullMQ's own code, or a check of each job, has the same result.",
    mutants: [
      ["return false", "return true"],
      [
        "local oldest, wanted = call('LRANGE', active, -n, -1), {}",
        "local oldest, wanted = call('LRANGE', active, -n, -2), {}",
      ],
      [
        "local start, limit = latest - kind.age * 1000, kind.limit or 1000",
        "local start, limit = latest + kind.age * 1000, kind.limit or 1000",
      ],
      ["if surplus > 1000 then return true end", "if surplus >= 1000 then return true end"],
      ["if surplus > 1000 then return true end", "if surplus > 1000 then return false end"],
      ["if surplus > 1000 then return true end", "if surplus > 1001 then return true end"],
      [
        "local haveChildren = c > 0 and call('EXISTS', unpack(children)) > 0",
        "local haveChildren = c > 0 and call('EXISTS', unpack(children)) >= 0",
      ],
      [
        "local mayExist, seen = #given > 0 and call('EXISTS', unpack(given)) > 0, {}",
        "local mayExist, seen = #given > 0 and call('EXISTS', unpack(given)) >= 0, {}",
      ],
    ],
  },
  {
    reason: "The value is missing, or set, at that place, or is not at the start of the text.",
    mutants: [
      [
        String.raw`local from, to = string.find(stored, '\\u0001', 1, true)`,
        String.raw`local from, to = string.find(stored, '\\u0001', 2, true)`,
      ],
      [
        "if not run[i][10] then t.stored = t.stored + 1 end",
        "if not run[i][10] then t.stored = t.stored + 2 end",
      ],
      ["if kind.count and kind.count > 0 then", "if kind.count and kind.count >= 0 then"],
      ["if one[8] >= (kind.attempts or 0) then", "if one[8] >= (kind.attempts or 1) then"],
      [
        "call('HSET', t.metaKey, 'opts.maxLenEvents', '10000')",
        "call('HSETNX', t.metaKey, 'opts.maxLenEvents', '10000')",
      ],
    ],
  },
  {
    reason:
      "Only ends of the turn are looked up among the parents, and BullMQ's own function stores an end that is found.",
    mutants: [
      [
        "SELECT DISTINCT parent_id FROM job_dependency WHERE parent_queue = p_queue AND parent_id = ANY(p_ids));",
        "SELECT DISTINCT parent_id FROM job_dependency WHERE parent_queue = p_queue OR parent_id = ANY(p_ids));",
      ],
    ],
  },
  {
    reason: "Smaller groups of ends displace the same jobs, as single ends do.",
    mutants: [
      [
        "if group and (group.kind ~= kind or group.time > time) then",
        "if group and (group.kind ~= kind or group.time >= time) then",
      ],
    ],
  },
];

/** Returns why no sequence can notice a mutant; undefined for a mutant that has to be noticed. */
export function reasonFor({ before, after }: TextMutant): string | undefined {
  return EQUIVALENTS.find(({ mutants }) =>
    mutants.some(([from, to]) => from === before.trim() && to === after.trim()),
  )?.reason;
}
