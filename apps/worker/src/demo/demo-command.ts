import { writeFile } from "node:fs/promises";
import { resolve as resolvePath } from "node:path";
import { run } from "@taskloom/loop";
import { StopSignals } from "@taskloom/loop/stop-signals";
import { TaskQueue, openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { embeddedFolder } from "@taskloom/queue/operating";
import { pino } from "pino";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { err, out } from "../terminal/output.ts";
import { defaultSettings } from "../config/settings.ts";
import { HttpAddress } from "../service/http-address.ts";
import { workHere, workInProcesses } from "../workers/worker-set.ts";
import type { WorkerSet } from "../workers/worker-set.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { checkDirectory, leaveOut, projectRoot } from "./directory.ts";
import { watchEngine } from "./engine-loss.ts";
import { finishedJobs, mainJob } from "./main-job.ts";
import type { MainJobOutcome } from "./main-job.ts";
import { measureInPlace } from "./measure-in-place.ts";
import { count, speedLines, typeTable } from "./report.ts";
import { RunFile } from "./run-file.ts";
import type { Run } from "./run-file.ts";
import { walk } from "./walk.ts";
import type { Walk } from "./walk.ts";

/** The flags of `taskloom demo`. */
export interface DemoFlags {
  readonly once: boolean;
  readonly engine: string;
  readonly workers: number;
  readonly threads: number;
  readonly port?: number;
  /** Seconds. */
  readonly deadline: number;
  /** Seconds. */
  readonly patience: number;
  readonly out?: string;
}

const QUEUE_NAME = "files";
const DRAIN_MS = 10_000;
const DEFAULT_PORT = 7_373;
/** The failed files that are named; the others are counted. */
const MAX_SHOWN_FAILURES = 10;

/** Runs the main job, and returns the exit code. */
export async function demoCommand(directory: string | undefined, flags: DemoFlags): Promise<number> {
  const root = directory === undefined ? projectRoot() : resolvePath(directory);
  await checkDirectory(root);
  const engine = openEngine(flags.engine);
  const queue = new TaskQueue({ engine, name: QUEUE_NAME });
  const signals = new StopSignals({ onSecond: () => process.exit(EXIT_CODES.interrupted) });
  const stopped = signals.asked.then(() => Promise.reject<never>(new Interrupted()));
  stopped.catch(() => {});
  let workers: WorkerSet | undefined;
  let http: HttpAddress | undefined;
  try {
    await engine.connect();
    for (const warning of engine.warnings()) err(`taskloom: ${warning}`);
    http = openHttp(engine, (await import(tasksModule().href)) as object, () => workers);
    const { address } = await http.listen({
      host: "127.0.0.1",
      port: flags.port ?? DEFAULT_PORT,
      orAnyFree: flags.port === undefined,
    });
    const { lost, onEngineFull, onEngineError } = watchEngine(engine, flags.patience);
    const runFile = new RunFile(stateFolder(engine), root, engine.url);
    const cutOff = await runFile.load();
    const before = cutOff === undefined ? new Set<string>() : await finishedJobs(cutOff, queue);
    workers = await startWorkers(engine, flags, onEngineError, true);
    await Promise.race([workers.ready, workers.broken, stopped]);

    const found = await walk(root, leaveOut(root, embeddedFolder(engine.url), directory === undefined));
    const job = cutOff ?? (await runFile.begin(found.files));
    announce(root, job, flags, engine, address);

    const deadline = flags.deadline * 1_000;
    const ended = run(() => mainJob({ root, run: job, queue, before, deadline, onEngineFull }));
    ended.catch(() => {});
    const outcome = await Promise.race([ended, workers.broken, lost, stopped]);
    await runFile.end();
    await report(root, found, outcome, workers, flags);
    const exitCode = outcome.failures.length + found.failures.length > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
    if (flags.once) return exitCode;
    // The threads and the heap of the job are much of the memory, and the service may be idle from here on.
    // Worker processes keep their own: a new process would take longer.
    if (flags.workers === 1) {
      const used = workers;
      workers = undefined;
      await used.stop();
      workers = await startWorkers(engine, flags, onEngineError, false);
      await Promise.race([workers.ready, workers.broken, stopped]);
    }
    collectGarbage();
    err(`\nThe service stays up at ${address} until Ctrl-C.`);
    await Promise.race([workers.broken, stopped]).catch((error: unknown) => {
      if (!(error instanceof Interrupted)) throw error;
    });
    return exitCode;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    process.stderr.write("\ntaskloom: Stopped; the same command continues this run\n");
    return EXIT_CODES.interrupted;
  } finally {
    // The queue is closed first, so that the jobs of an interrupted run stay queued and are not cancelled.
    await queue.close().catch(() => {});
    await workers?.stop();
    await http?.close();
    await engine.close();
    signals.dispose();
  }
}

function openHttp(engine: Engine, tasks: object, workers: () => WorkerSet | undefined): HttpAddress {
  return new HttpAddress({
    ...defaultSettings(),
    engine,
    modules: [tasks],
    queues: [QUEUE_NAME],
    metrics: async () => (await workers()?.metrics()) ?? [],
    isReady: () => workers() !== undefined,
    host: "127.0.0.1",
    logger: pino({ level: "silent" }),
  });
}

/** Starts the workers of the demo, with the limits of admission out of reach: the loop is meant to be busy. */
async function startWorkers(
  engine: Engine,
  { engine: url, workers, threads }: DemoFlags,
  onEngineError: (error: Error) => void,
  measuresDelay: boolean,
): Promise<WorkerSet> {
  if (workers > 1)
    return workInProcesses(workers, {
      engine: url,
      queues: [QUEUE_NAME],
      modules: [tasksModule().href],
      threads,
      drain: DRAIN_MS / 1_000,
      logLevel: "silent",
    });
  return workHere(
    {
      engine,
      queues: [QUEUE_NAME],
      modules: [(await import(tasksModule().href)) as object],
      threads,
      concurrency: 100,
      drain: DRAIN_MS,
      maxLoopDelay: 1_000,
      maxUtilization: 1,
      slot: 0,
      logger: pino({ level: "silent" }),
      onEngineError,
    },
    measuresDelay,
  );
}

/** Ends the main job at the first Ctrl-C or SIGTERM. */
class Interrupted extends Error {}

function tasksModule(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./tasks.ts" : "./tasks.js", import.meta.url);
}

/** Returns the folder of the run files: beside the embedded data, or the default folder for other engines. */
function stateFolder(engine: Engine): string {
  return embeddedFolder(engine.url) ?? resolvePath(".taskloom");
}

function announce(root: string, job: Run, flags: DemoFlags, engine: Engine, address: string): void {
  const files = `${count(job.files.length)} files below ${root}`;
  const where = `${engine.url}, ${flags.workers} worker${flags.workers > 1 ? "s" : ""} with ${flags.threads} thread${flags.threads > 1 ? "s" : ""}`;
  err(`${files}; ${where}; ${address}`);
  if (job.resumed) {
    err(`Going on with the run of ${new Date(job.startedAt).toLocaleString()}, which was interrupted.`);
  }
}

async function report(
  root: string,
  found: Walk,
  outcome: MainJobOutcome,
  workers: WorkerSet,
  flags: DemoFlags,
): Promise<void> {
  const inPlace = await measureInPlace(root, outcome.results);
  const lines = [typeTable(outcome.results), ""];
  if (outcome.finishedBefore > 0) {
    lines.push(
      `${count(outcome.finishedBefore)} of ${count(outcome.jobs)} jobs had finished before this start and were not run again.`,
    );
  }
  lines.push(...speedLines({ lanes: outcome.lanes, delayBesideThreads: workers.loopDelay(), inPlace }));
  out(lines.join("\n"));
  if (flags.out !== undefined) {
    await writeFile(flags.out, outcome.results.map((result) => `${JSON.stringify(result)}\n`).join(""));
  }
  const failures = [...found.failures, ...outcome.failures];
  if (failures.length === 0) return;
  err(`taskloom: ${count(failures.length)} files could not be read; mend them and run the command again:`);
  for (const { path, error } of failures.slice(0, MAX_SHOWN_FAILURES)) {
    err(`  ${path}: ${reason(error)}`);
  }
  if (failures.length > MAX_SHOWN_FAILURES) err(`  and ${count(failures.length - MAX_SHOWN_FAILURES)} more`);
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "the file no longer exists";
  if (code === "EACCES" || code === "EPERM") return "this user has no permission to read the file";
  return message;
}
