import { createHash } from "node:crypto";
import { hasEnded } from "../../operations/operations.ts";
import type { Operations } from "../../operations/operations.ts";
import { pauseUntil } from "./waits.ts";
import type { Wait } from "./waits.ts";

/** A comment this often, so that proxies and clients know that the connection lives. */
const heartbeat = 15_000;

/**
 * A job's progress, logs and result as server-sent events.
 *
 * An event's id says how far the reader is: how many log lines it has and which progress it saw. With the last one in
 * `Last-Event-ID` any server at the same engine goes on from there, since all of it is read from what is stored. A
 * service that closes looks once more, so that the result of a job that ended during the drain is sent, and ends the
 * stream.
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
      // Every line is there before the end is: what was logged in between is read once more.
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
    } else if (performance.now() - quietSince > heartbeat) {
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
