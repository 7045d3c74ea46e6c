// Prints the lives a second of exploreCrashes on the random programs, in processor time.
//
//   node --conditions=@taskloom/source packages/workflow/measure/programs.ts [count] [generator|async] [crashes]
import { exploreCrashes } from "@taskloom/workflow/testing";
import { programOf, workflowOf } from "../test/programs.ts";

const count = Number(process.argv[2] ?? 300);
const spelling = process.argv[3] === "async" ? "async" : "generator";
const maxCrashes = Number(process.argv[4] ?? Infinity);
const totals = { lives: 0, crashes: 0, ticks: 0 };
const began = process.cpuUsage();
for (let seed = 1000; seed < 1000 + count; seed++) {
  // oxlint-disable-next-line no-await-in-loop -- one program after the other
  const explored = await exploreCrashes(workflowOf(programOf(seed), spelling), { seeds: [seed], maxCrashes });
  totals.lives += explored.lives;
  totals.crashes += explored.crashes;
  totals.ticks += explored.ticks;
}
const { user, system } = process.cpuUsage(began);
const seconds = (user + system) / 1e6;
console.log(
  `${count} programs of ${spelling}: ${totals.lives} lives, ${totals.crashes} crashes and ${totals.ticks} ticks ` +
    `in ${seconds.toFixed(1)} s, ${(totals.lives / seconds).toFixed(0)} lives a second`,
);
