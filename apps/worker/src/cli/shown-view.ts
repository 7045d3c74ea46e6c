import { StopSignals } from "@taskloom/loop/stop-signals";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { Styled, err, lineText, out, printJson } from "../terminal/output.ts";
import { Screen } from "../terminal/screen.ts";
import { failureLine } from "./failure-report.ts";
import { withOperations } from "./open-operations.ts";
import type { OpenedOperations, OperatorFlags } from "./open-operations.ts";

/** The flags of a command that can show its view again and again. */
export interface WatchFlags extends OperatorFlags {
  /** Seconds between two views. */
  readonly watch?: number;
}

/** The facts that a command shows. */
export interface View {
  /** The facts for a program. */
  readonly json: unknown;
  /** Returns the text for a person, as wide as the terminal. */
  readonly text: () => string;
  /** Hints for a person, which standard error receives. */
  readonly notes?: readonly string[];
}

/**
 * Shows a view once, or with `--watch` until a signal. A watch draws over the whole terminal. Elsewhere it writes each
 * view below the one before; with `--json` each one is a line of JSON.
 *
 * @param title is the command, as the terminal names it above its view.
 */
export async function showView(
  flags: WatchFlags,
  title: string,
  read: (opened: OpenedOperations) => Promise<View>,
): Promise<number> {
  return await withOperations(flags, async (opened) => {
    const view = await read(opened);
    if (flags.watch === undefined) show(view, flags.json === true);
    else if (process.stdout.isTTY && flags.json !== true)
      await watchOnScreen(view, flags.watch, title, opened, read);
    else await watchInLines(view, flags.watch, flags.json === true, () => read(opened));
    return EXIT_CODES.ok;
  });
}

function show({ json, text, notes = [] }: View, isJson: boolean, isOfSeries = false): void {
  if (isJson) printJson(json, isOfSeries);
  else process.stdout.write(`${text()}\n`);
  for (const note of notes) err(`taskloom: ${note}`);
}

async function watchInLines(
  first: View,
  seconds: number,
  isJson: boolean,
  read: () => Promise<View>,
): Promise<void> {
  show(first, isJson, true);
  await eachInterval(
    seconds,
    read,
    (view) => {
      if (!isJson) out();
      show(view, isJson, true);
    },
    (error) => err(`taskloom: ${failureLine(error)}`),
  );
}

async function watchOnScreen(
  first: View,
  seconds: number,
  title: string,
  opened: OpenedOperations,
  read: (opened: OpenedOperations) => Promise<View>,
): Promise<void> {
  let view = first;
  let failure: string | undefined;
  let readAt = new Date();
  const screen = new Screen();
  const draw = (): void => {
    const head = `${title} on ${opened.where}, every ${seconds} s, ${readAt.toLocaleTimeString()}`;
    const failed = failure === undefined ? [] : [lineText(new Styled("red", failure))];
    const notes = (view.notes ?? []).map((note) => lineText(note));
    screen.draw([lineText(new Styled("dim", head)), ...failed, view.text(), ...notes].join("\n"));
  };
  process.stdout.on("resize", draw);
  const close = (): void => screen.close();
  // A second signal, or an error that nobody catches, ends the process at once.
  process.on("exit", close);
  try {
    draw();
    await eachInterval(
      seconds,
      () => read(opened),
      (next) => {
        view = next;
        readAt = new Date();
        failure = undefined;
        draw();
      },
      // An engine or service that is away for a moment must not end the watch. The last view stays below the reason.
      (error) => {
        failure = failureLine(error);
        draw();
      },
    );
  } finally {
    process.stdout.off("resize", draw);
    process.off("exit", close);
    screen.close();
  }
  show(view, false);
}

/** Reads after each interval, one read at a time, until SIGINT or SIGTERM. The result of a read that comes later is dropped. */
async function eachInterval<T>(
  seconds: number,
  read: () => Promise<T>,
  onRead: (value: T) => void,
  onFailure: (error: unknown) => void,
): Promise<void> {
  const signals = new StopSignals({ onSecond: () => process.exit(EXIT_CODES.interrupted) });
  const stopped = signals.asked.then(() => undefined);
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([stopped, new Promise((resolve) => (timer = setTimeout(resolve, seconds * 1_000)))]);
      clearTimeout(timer);
      if (signals.received !== undefined) return;
      const reading = read().then(
        (value) => () => onRead(value),
        (error: unknown) => () => onFailure(error),
      );
      const shown = await Promise.race([stopped, reading]);
      if (shown === undefined) return;
      shown();
    }
  } finally {
    signals.dispose();
  }
}
