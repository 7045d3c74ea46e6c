// A chess master plays 24 opponents, 30 moves each: 5 s for the master's move, 55 s for the opponent's. One
// game after the other takes 12 hours, because the master waits for every answer. If the master moves on to
// the next board instead, all games take one hour. The program runs in virtual time, so it takes no time.
import { coroutine, createTask, gather, getRunningLoop, Lock, run, sleep } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

const OPPONENTS = 24;
const MOVES = 30;

const game = coroutine(async (master: Lock) => {
  for (let move = 0; move < MOVES; move++) {
    await master.with(() => sleep(5000)); // the master is at one board at a time
    await sleep(55_000);
  }
});

export async function main(): Promise<void> {
  const loop = getRunningLoop();
  const hours = (since: number): string => `${((loop.time() - since) / 3_600_000).toFixed(2)} h`;
  const master = new Lock();

  let started = loop.time();
  for (let i = 0; i < OPPONENTS; i++) await game(master);
  console.log(`one after the other: ${hours(started)}`);

  started = loop.time();
  const games: Task[] = Array.from({ length: OPPONENTS }, () => createTask(game(master)));
  await gather(games);
  console.log(`all at once: ${hours(started)}`);
}

if (import.meta.main) await run(main, { clock: virtualClock() });
