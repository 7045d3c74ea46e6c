import { openShards } from "@taskloom/queue/operating";
import type { ShardReport, ShardsReport } from "@taskloom/queue/operating";
import { loadSettings } from "../config/load-settings.ts";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { Styled, out, printJson } from "../terminal/output.ts";
import { tableText } from "../terminal/table.ts";

/** The flags of `taskloom shards`. */
export interface ShardsFlags {
  readonly engine?: string;
  readonly config?: string;
  /** The new number of shards. */
  readonly set?: number;
  readonly json?: boolean;
}

/** Runs `taskloom shards`, which shows the shards of an engine, or with `--set` changes their number. */
export async function shardsCommand({ set, json, ...flags }: ShardsFlags): Promise<number> {
  const { settings } = await loadSettings(flags);
  await using shards = openShards(settings.engine);
  const report = set === undefined ? await shards.read() : await shards.set(set);
  if (json === true) printJson(report);
  else out(shardsText(report));
  return EXIT_CODES.ok;
}

function shardsText(report: ShardsReport): string {
  const { count, earlier, left } = report;
  const table = tableText(
    ["shard", "place", "state", "open jobs", "left"],
    report.shards.map((shard) => [shard.shard, shard.place, stateText(shard), shard.open, shard.left]),
  );
  const progress =
    earlier.length === 0
      ? `${count} shard${count === 1 ? "" : "s"}`
      : `${count} shards; ${left.toLocaleString("en-US")} jobs and schedules of the layout with ${earlier.join(" and ")} are left. They run where they are, and ended ones leave after their retention`;
  return `${table}\n${progress}`;
}

function stateText({ state }: ShardReport): string | Styled {
  return state === "open" ? state : new Styled("yellow", state);
}
