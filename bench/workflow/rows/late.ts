import { ask } from "../processes.ts";
import { measured, median, short } from "../report.ts";
import type { Stage } from "../stage.ts";
import { rounds } from "../turns.ts";

const STEPS = 1_050;
/** The steps around the 10th and the 1,000th, since one step alone is mostly chance. */
const EARLY = [1, 60] as const;
const LATE = [950, 1_050] as const;

/** The 1,000th sequential step beside the 10th of the same run. */
export async function late(stage: Stage): Promise<void> {
  const sides = ["Taskloom Redis", "Taskloom PostgreSQL"] as const;
  await stage.with(sides, async (processes) => {
    for (const side of sides) {
      const figures: { early: number; late: number }[] = [];
      for (let round = -1; round < rounds; round++) {
        const { times } = await ask(processes[side], { name: "steps", count: STEPS });
        if (round >= 0)
          figures.push({ early: median(times.slice(...EARLY)), late: median(times.slice(...LATE)) });
      }
      const ratio = median(figures.map((each) => each.late / each.early));
      const behind = `${short(median(figures.map((each) => each.early)))} ms, ${short(median(figures.map((each) => each.late)))} ms`;
      measured(`the 1,000th step beside the 10th, ${side}`, ratio, { atMost: 1.1, unit: "x" }, behind);
    }
  });
}
