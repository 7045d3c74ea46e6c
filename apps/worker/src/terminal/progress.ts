import { Presets, SingleBar } from "cli-progress";

/** A progress bar on a terminal, and nothing elsewhere. */
export class Progress {
  readonly #bar: SingleBar | undefined;

  constructor(total: number, unit = "files") {
    if (!process.stderr.isTTY) return;
    this.#bar = new SingleBar(
      {
        format: `{bar} {percentage}%  {value}/{total} ${unit}  {eta_formatted} left`,
        clearOnComplete: true,
      },
      Presets.shades_classic,
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
