import { coroutine, EventLoop, sleep, wait } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

import type { Program } from "./program.ts";
import { Steps } from "./steps.ts";
import { horizon, World } from "./world.ts";

/** The time between the cancels at the end of a spread program, few of whose events share an instant. */
const apart = 2 ** -9;

/** The spelling of each function of a program, and of its main, which comes last. */
export type Spellings = readonly (new (world: World) => Steps)[];

/** Runs a program on `@taskloom/loop` in virtual time, in generators by default. Returns its trace. */
export async function interpret(
  program: Program,
  spellings: Spellings = [...program.functions, program.main].map(() => Steps),
): Promise<string[]> {
  const loop = new EventLoop({ clock: virtualClock() });
  const world = new World(program, loop, spellings);
  try {
    await loop.runUntilComplete(drive(world));
  } finally {
    // Pending tasks of a program stay pending: ending them would run clean-up outside the program.
    loop.stop();
  }
  return world.trace;
}

/** Runs the program to its horizon, then cancels the remaining tasks several times. */
export const drive = coroutine(function* (world: World): Generator<never, void, unknown> {
  const { loop, lists, writer } = world;
  world.firstIteration = loop._iterations;
  for (const spec of world.program.objects) world.objects.push(world.makeObject(spec));
  const first = world.register("task", loop.createTask(world.steps.at(-1)!.main()));
  yield* wait([first], { timeout: horizon });
  yield* sleep(horizon - loop.time());
  for (let round = 0; round < 12; round++) {
    const left = lists.any.filter((each) => !each.done());
    if (left.length === 0) break;
    world.log("M", "end", `cancels ${writer.value(left)}`);
    for (const each of left) {
      each.cancel("end");
      if (world.program.isSpread) yield* sleep(apart);
    }
    yield* sleep(10);
  }
  for (const each of lists.any) world.log("M", "end", `${writer.label(each)} ${writer.final(each)}`);
});
