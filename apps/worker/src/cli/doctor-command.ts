import { access, constants, mkdir, statfs } from "node:fs/promises";
import { openEngine } from "@taskloom/queue";
import { embeddedFolder, withoutPassword } from "@taskloom/queue/operating";
import { loadSettings } from "../config/load-settings.ts";
import type { Settings } from "../config/settings.ts";
import { EngineOperations } from "../operations/engine-operations.ts";
import type { QueueView } from "../operations/operations.ts";
import { knownTasks } from "../workers/worker-view.ts";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { Styled, out, printJson } from "../terminal/output.ts";
import { importModule } from "./import-module.ts";

/** One thing that was looked at. */
interface Finding {
  readonly what: string;
  readonly verdict: "ok" | "warning" | "bad";
  readonly text: string;
}

/** Beyond this machines' clocks mislead people who compare logs; deadlines use the engine's clock. */
const clockSkewAtMost = 1_000;
const leastDisk = 256 * 1_048_576;

/** `taskloom doctor`: looks at all that a worker needs, and says what to mend. */
export async function doctorCommand(
  modules: readonly string[],
  flags: Readonly<Record<string, unknown>> & { readonly json?: boolean },
): Promise<number> {
  const { settings } = await loadSettings({ ...flags, ...(modules.length === 0 ? {} : { modules }) });
  const findings = [node(), ...(await engine(settings)), ...(await taskModules(settings))];
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

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 13))
    return { what: "node", verdict: "ok", text: process.version };
  return {
    what: "node",
    verdict: "bad",
    text: `${process.version} is too old; install Node 22.13 or later.`,
  };
}

async function engine(settings: Settings): Promise<Finding[]> {
  const folder = embeddedFolder(settings.engine);
  if (folder === undefined) return await openedEngine(settings);
  const disk = await folderFinding(folder);
  return disk.verdict === "bad" ? [disk] : [disk, ...(await openedEngine(settings))];
}

/** A queue with jobs that nobody takes is what people look for when nothing happens. */
function queueFindings(queues: Readonly<Record<string, QueueView>>): Finding[] {
  return Object.entries(queues).map(([name, { loop, thread, workers, isPaused }]): Finding => {
    const waiting = loop.waiting + thread.waiting + loop.delayed + thread.delayed;
    const failed = loop.failed + thread.failed;
    const text = `${name}: ${waiting} waiting, ${failed} failed, ${workers} live worker${workers === 1 ? "" : "s"}`;
    if (isPaused && waiting > 0)
      return {
        what: "queue",
        verdict: "warning",
        text: `${text}; it is paused: taskloom queues --resume ${name}.`,
      };
    if (workers === 0 && waiting > 0)
      return {
        what: "queue",
        verdict: "warning",
        text: `${text}; its jobs wait until one serves it: taskloom worker MODULE --queue ${name}.`,
      };
    return { what: "queue", verdict: "ok", text };
  });
}

async function folderFinding(folder: string): Promise<Finding> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const text = `${Math.round(free / 1_048_576).toLocaleString("en-US")} MB free for ${folder}`;
    return free > leastDisk
      ? { what: "disk", verdict: "ok", text }
      : {
          what: "disk",
          verdict: "bad",
          text: `${text}; make room, or name another folder with --engine embedded:FOLDER.`,
        };
  } catch (error) {
    return {
      what: "disk",
      verdict: "bad",
      text: `${folder} cannot be written: ${(error as Error).message}; name another with --engine.`,
    };
  }
}

async function openedEngine(settings: Settings): Promise<Finding[]> {
  const findings: Finding[] = [];
  const opened = openEngine(settings.engine);
  const began = performance.now();
  try {
    await opened.connect();
    findings.push({
      what: "engine",
      verdict: "ok",
      text: `${opened.url} answered in ${Math.round(performance.now() - began)} ms`,
    });
    for (const warning of opened.warnings())
      findings.push({ what: "engine", verdict: "warning", text: warning });
    const skew = Math.round(opened.now() - Date.now());
    const late = Math.abs(skew) > clockSkewAtMost;
    findings.push({
      what: "clock",
      verdict: late ? "warning" : "ok",
      text: late
        ? `this machine's clock is ${-skew} ms ahead of the engine's; run a time service (NTP).`
        : `${Math.abs(skew)} ms from the engine's`,
    });
    const operations = new EngineOperations(opened, settings.queues);
    const workers = (await operations.workers()).filter(({ silentFor }) => silentFor === undefined);
    findings.push(
      workers.length > 0
        ? { what: "workers", verdict: "ok", text: `${workers.length} running` }
        : { what: "workers", verdict: "warning", text: "none runs; start one with taskloom worker MODULE." },
    );
    findings.push(...queueFindings(await operations.queues()));
    await operations.close();
  } catch (error) {
    findings.push({
      what: "engine",
      verdict: "bad",
      text: `${withoutPassword(settings.engine)}: ${(error as Error).message}`,
    });
  } finally {
    await opened.close().catch(() => {});
  }
  return findings;
}

async function taskModules(settings: Settings): Promise<Finding[]> {
  if (settings.modules.length === 0) {
    return [
      {
        what: "tasks",
        verdict: "warning",
        text: "no task module was named: taskloom doctor ./tasks.ts looks at one.",
      },
    ];
  }
  return await Promise.all(
    settings.modules.map(async (specifier): Promise<Finding> => {
      try {
        const names = knownTasks([await importModule(specifier)]).map(({ name }) => name);
        return names.length > 0
          ? { what: "tasks", verdict: "ok", text: `${specifier}: ${names.join(", ")}` }
          : {
              what: "tasks",
              verdict: "bad",
              text: `${specifier} exports no task; export what defineTask returns.`,
            };
      } catch (error) {
        return { what: "tasks", verdict: "bad", text: (error as Error).message };
      }
    }),
  );
}
