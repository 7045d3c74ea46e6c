// Node finds only some of the names of this CommonJS module as named exports, and `Format` is not among them.
import cliProgress from "cli-progress";
import type { SingleBar } from "cli-progress";

/** A rate from a shorter time than this says little about the rest. */
const MIN_MEASURED_MS = 1_000;

/** A progress bar on a terminal, and nothing elsewhere. */
export class Progress {
  readonly #bar: SingleBar | undefined;

  constructor(total: number, unit = "files") {
    if (!process.stderr.isTTY) return;
    this.#bar = new cliProgress.SingleBar(
      {
        format: (options, { progress, startTime, value, total: all }) => {
          const left = timeLeft(Date.now() - startTime, value, all);
          const bar = cliProgress.Format.BarFormat(progress, options);
          return `${bar} ${Math.floor(progress * 100)}%  ${value}/${all} ${unit}  ${left}`;
        },
        clearOnComplete: true,
      },
      cliProgress.Presets.shades_classic,
    );
    this.#bar.start(total, 0);
  }

  advance(): void {
    this.#bar?.increment();
  }

  stop(): void {
    this.#bar?.stop();
  }
}

/**
 * Returns the expected rest of a run as a text, from the rate of the whole run so far. cli-progress takes the rate of the
 * last ten steps, which jumps from seconds to minutes and back if steps end in groups.
 *
 * @param elapsed is in milliseconds.
 */
export function timeLeft(elapsed: number, value: number, total: number): string {
  if (value === 0 || elapsed < MIN_MEASURED_MS) return "…";
  const seconds = Math.ceil((elapsed / value) * ((total - value) / 1_000));
  if (seconds < 60) return `${seconds} s left`;
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s left`;
}
