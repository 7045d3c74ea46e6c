import { access, constants, mkdir, statfs } from "node:fs/promises";
import { openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { embeddedFolder, withoutPassword } from "@taskloom/queue/operating";
import { loadSettings } from "../config/load-settings.ts";
import type { Settings } from "../config/settings.ts";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { EngineOperations } from "../operations/engine-operations.ts";
import type { QueueView } from "../operations/operations.ts";
import { Styled, out, printJson } from "../terminal/output.ts";
import { knownTasks } from "../workers/worker-view.ts";
import { importModule } from "./import-module.ts";

/** The result of one check. `what` is the checked part, under the name that the JSON has had from the beginning. */
interface Finding {
  readonly what: string;
  readonly verdict: "ok" | "warning" | "bad";
  readonly text: string;
}

/** A larger difference of clocks misleads people who compare logs. Deadlines do not depend on it. */
const MAX_CLOCK_SKEW_MS = 1_000;
const MIN_FREE_BYTES = 256 * 1_048_576;

/** Runs `taskloom doctor`, which checks everything that a worker needs. */
export async function doctorCommand(
  modules: readonly string[],
  flags: Readonly<Record<string, unknown>> & { readonly json?: boolean },
): Promise<number> {
  const { settings } = await loadSettings({ ...flags, ...(modules.length === 0 ? {} : { modules }) });
  const findings = [checkNode(), ...(await checkEngine(settings)), ...(await checkModules(settings))];
  if (flags.json === true) printJson(findings);
  else {
    for (const { what, verdict, text } of findings) {
      const mark = {
        ok: new Styled("green", "ok     "),
        warning: new Styled("yellow", "warning"),
        bad: new Styled("red", "bad    "),
      }[verdict];
      out(mark, `  ${what.padEnd(9)}  ${text}`);
    }
  }
  return findings.some(({ verdict }) => verdict === "bad") ? EXIT_CODES.failure : EXIT_CODES.ok;
}

const ok = (what: string, text: string): Finding => ({ what, verdict: "ok", text });
const warning = (what: string, text: string): Finding => ({ what, verdict: "warning", text });
const bad = (what: string, text: string): Finding => ({ what, verdict: "bad", text });

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 16)) return ok("node", process.version);
  return bad("node", `${process.version} is too old; install Node 22.16 or later`);
}

async function checkEngine(settings: Settings): Promise<Finding[]> {
  const folder = embeddedFolder(settings.engine);
  if (folder === undefined) return await checkOpenedEngine(settings);
  const disk = await checkFolder(folder);
  return disk.verdict === "bad" ? [disk] : [disk, ...(await checkOpenedEngine(settings))];
}

async function checkFolder(folder: string): Promise<Finding> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const text = `${Math.round(free / 1_048_576).toLocaleString("en-US")} MB free for ${folder}`;
    if (free > MIN_FREE_BYTES) return ok("disk", text);
    return bad("disk", `${text}; make room, or name another folder with --engine embedded:FOLDER`);
  } catch (error) {
    return bad(
      "disk",
      `${folder} cannot be written: ${(error as Error).message}; name another with --engine`,
    );
  }
}

async function checkOpenedEngine(settings: Settings): Promise<Finding[]> {
  const findings: Finding[] = [];
  const engine = openEngine(settings.engine);
  const began = performance.now();
  try {
    await engine.connect();
    findings.push(ok("engine", `${engine.url} answered in ${Math.round(performance.now() - began)} ms`));
    for (const text of engine.warnings()) findings.push(warning("engine", text));
    findings.push(checkClock(engine));
    const operations = new EngineOperations(engine, settings.queues);
    const workers = (await operations.workers()).filter(({ silentFor }) => silentFor === undefined);
    const others = (await operations.otherWorkers()).length;
    findings.push(
      workers.length + others > 0
        ? ok("workers", `${workers.length} running${others === 0 ? "" : `, and ${others} of other programs`}`)
        : warning("workers", "no worker runs; start one with taskloom worker MODULE"),
    );
    findings.push(...checkQueues(await operations.queues()));
    await operations.close();
  } catch (error) {
    findings.push(bad("engine", `${withoutPassword(settings.engine)}: ${(error as Error).message}`));
  } finally {
    await engine.close().catch(() => {});
  }
  return findings;
}

function checkClock(engine: Engine): Finding {
  const skew = Math.round(engine.now() - Date.now());
  if (Math.abs(skew) <= MAX_CLOCK_SKEW_MS) return ok("clock", `${Math.abs(skew)} ms from the engine's`);
  const direction = skew < 0 ? "ahead of" : "behind";
  return warning(
    "clock",
    `this machine's clock is ${Math.abs(skew)} ms ${direction} the engine's; run a time service (NTP)`,
  );
}

/** A queue with jobs and without a worker is the usual reason why nothing happens. */
function checkQueues(queues: Readonly<Record<string, QueueView>>): Finding[] {
  return Object.entries(queues).map(([name, { loop, thread, workers, isPaused }]): Finding => {
    const waiting = loop.waiting + thread.waiting + loop.delayed + thread.delayed;
    const failed = loop.failed + thread.failed;
    const text = `${name}: ${waiting} waiting, ${failed} failed, ${workers} live worker${workers === 1 ? "" : "s"}`;
    if (isPaused && waiting > 0)
      return warning("queue", `${text}; the queue is paused: taskloom queues --resume ${name}`);
    if (workers === 0 && waiting > 0)
      return warning(
        "queue",
        `${text}; its jobs wait until a worker serves it: taskloom worker MODULE --queue ${name}`,
      );
    return ok("queue", text);
  });
}

async function checkModules({ modules }: Settings): Promise<Finding[]> {
  if (modules.length === 0)
    return [warning("tasks", "no task module to check; name one: taskloom doctor ./tasks.ts")];
  return await Promise.all(
    modules.map(async (specifier) => {
      try {
        const names = knownTasks([await importModule(specifier)]).map(({ name }) => name);
        if (names.length > 0) return ok("tasks", `${specifier}: ${names.join(", ")}`);
        return bad("tasks", `${specifier} exports no task; export what defineTask returns`);
      } catch (error) {
        return bad("tasks", (error as Error).message);
      }
    }),
  );
}
