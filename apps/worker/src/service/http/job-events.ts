import { createHash } from "node:crypto";
import { hasEnded } from "../../operations/operations.ts";
import type { Operations } from "../../operations/operations.ts";
import { pauseUntil } from "./waits.ts";
import type { Wait } from "./waits.ts";

/** The interval of comments that show proxies and clients that the connection lives. */
const HEARTBEAT_MS = 15_000;

/**
 * Yields the progress, the logs and the result of a job as server-sent events.
 *
 * The id of an event is the position of the reader: the number of log lines, and a hash of the last progress. All events
 * come from stored data, so any server at the same engine continues from the id in `Last-Event-ID`. A service that
 * stops polls once more before it ends the stream, so that the result of a job that ended during the drain is sent.
 */
export async function* jobEvents(
  operations: Operations,
  id: string,
  queue: string | undefined,
  lastEventId: string | undefined,
  wait: Wait,
): AsyncGenerator<string, void, undefined> {
  let { logs, progress } = parseEventId(lastEventId);
  let state: string | undefined;
  let quietSince = performance.now();
  yield "retry: 1000\n\n";
  while (true) {
    const isLast = wait.over.aborted;
    const job = await operations.job(id, queue);
    const lines = await operations.logs(id, logs, queue);
    const events: string[] = [];
    for (const line of lines) {
      logs++;
      events.push(event("log", `${logs}-${progress}`, { line }));
    }
    const version = job.progress === undefined ? "" : fingerprint(job.progress);
    if (version !== "" && version !== progress) {
      progress = version;
      events.push(event("progress", `${logs}-${progress}`, job.progress));
    }
    if (hasEnded(job.state)) {
      // All lines are stored before the end. The lines that came since the read above follow here.
      yield events.join("");
      for (;;) {
        const rest = await operations.logs(id, logs, queue);
        if (rest.length === 0) break;
        yield rest.map((line) => event("log", `${++logs}-${progress}`, { line })).join("");
      }
      yield event("result", `${logs}-${progress}`, job);
      return;
    }
    if (job.state !== state) {
      state = job.state;
      events.push(event("state", `${logs}-${progress}`, { state, attempts: job.attempts }));
    }
    if (events.length > 0) {
      quietSince = performance.now();
      yield events.join("");
    } else if (performance.now() - quietSince > HEARTBEAT_MS) {
      quietSince = performance.now();
      yield ": still here\n\n";
    }
    if (isLast) return;
    await pauseUntil(wait.pause, wait.over);
  }
}

function event(name: string, id: string, data: unknown): string {
  return `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
}

function parseEventId(id: string | undefined): { logs: number; progress: string } {
  const match = /^(\d{1,9})-([\w-]{0,22})$/.exec(id ?? "");
  return { logs: Number(match?.[1] ?? 0), progress: match?.[2] ?? "" };
}

function fingerprint(progress: unknown): string {
  return createHash("sha256").update(JSON.stringify(progress)).digest("base64url").slice(0, 12);
}
