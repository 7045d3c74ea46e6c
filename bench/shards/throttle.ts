/**
 * Holds processes to a share of a core: each runs for `ON_MS` of each period and is stopped by SIGSTOP for the rest. Their
 * turns are spread over the period. A process of its own, since a busy event loop would let the servers run for longer.
 *
 * `throttle.ts SHARE PID…`; ends with its parent.
 */
const [share, ...pids] = process.argv.slice(2).map(Number);
const ON_MS = 2;
const period = ON_MS / share!;

/** Waits on the clock: the timers of Node are late by a millisecond. */
const until = (time: number): void => {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let left = time - performance.now(); left > 0; left = time - performance.now())
    Atomics.wait(cell, 0, 0, Math.max(left, 0.05));
};

process.on("disconnect", () => process.exit());
let parent = process.ppid;
const events = pids
  .flatMap((pid, at) => {
    const from = (period * at) / pids.length;
    return [
      { pid, at: from, signal: "SIGCONT" as const },
      { pid, at: (from + ON_MS) % period, signal: "SIGSTOP" as const },
    ];
  })
  .toSorted((a, b) => a.at - b.at);
for (let begin = performance.now(); process.ppid === parent; begin += period) {
  for (const { pid, at, signal } of events) {
    until(begin + at);
    try {
      process.kill(pid, signal);
    } catch {
      parent = -1; // A server has ended, and so has the measurement.
    }
  }
}
for (const pid of pids) {
  try {
    process.kill(pid, "SIGCONT");
  } catch {
    // It has ended.
  }
}
