/**
 * Durable runs of Taskloom beside DBOS, openworkflow and Restate, in one run on servers of the bench's own. Each side is a
 * process of its own, all of them take turns, and each figure is the median of the turns.
 *
 * `pnpm bench workflow [ROW …]`; BENCH_ROUNDS is the number of rounds, 5 by default. Only bounds that are counted fail the
 * command. The peers stay in the folder for temporary files for the next run.
 */
import { loadavg } from "node:os";
import { outcome } from "./report.ts";
import { death } from "./rows/death.ts";
import { explore } from "./rows/explore.ts";
import { gather } from "./rows/gather.ts";
import { late } from "./rows/late.ts";
import { memory } from "./rows/memory.ts";
import { resume } from "./rows/resume.ts";
import { runs } from "./rows/runs.ts";
import { signal } from "./rows/signal.ts";
import { statements } from "./rows/statements.ts";
import { step } from "./rows/step.ts";
import { timers } from "./rows/timers.ts";
import { Stage } from "./stage.ts";

const rows: Record<string, (stage: Stage) => Promise<void>> = {
  statements,
  step,
  late,
  runs,
  gather,
  signal,
  resume,
  death,
  memory,
  timers,
  explore,
};

const only = process.argv.slice(3);
const unknown = only.find((name) => !(name in rows));
if (unknown !== undefined)
  throw new Error(`Expected rows of ${Object.keys(rows).join(", ")}, got ${unknown}`);
const stage = new Stage();
try {
  for (const [name, row] of Object.entries(rows)) {
    if (only.length > 0 && !only.includes(name)) continue;
    console.log(`${name} (load of the machine: ${loadavg()[0]!.toFixed(1)})`);
    await row(stage);
  }
} finally {
  await stage.stop();
}
if (outcome.hasMissedCounted) process.exitCode = 1;
process.exit();
