import { mkdirSync, renameSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import {
  damaged,
  dataFolder,
  hasData,
  installImage,
  makeFolder,
  newDataFolder,
  pathError,
  saveImage,
} from "./data-folder.ts";
import { EmbeddedDatabaseError, EmbeddedLockedError } from "./errors.ts";
import { FolderLock } from "./folder-lock.ts";
import { certainOwner, removeOwner, writeOwner } from "./owner.ts";
import { PostgresSession, StatementError } from "./postgres-session.ts";
import { SharedSession } from "./shared-session.ts";
import type { FromThread, Order, ThreadError, ToThread } from "./thread-messages.ts";

/** A reply waits at most this long (ms) for company. */
const REPLY_WITHIN = 1;

if (parentPort === null) throw new Error("This module runs on a thread of its own.");
const port = parentPort;

const log: string[] = [];
let path = "";
let lock: FolderLock | undefined;
let session: PostgresSession | undefined;
let shared: SharedSession | undefined;

let replies: FromThread[] = [];
let repliesSince = 0;

function reply(message: FromThread): void {
  const now = performance.now();
  if (replies.length === 0) repliesSince = now;
  replies.push(message);
  if (now - repliesSince >= REPLY_WITHIN) flush();
}

function flush(): void {
  if (replies.length === 0) return;
  port.postMessage(replies);
  replies = [];
}

port.on("message", (messages: readonly ToThread[]) => {
  try {
    for (const message of messages) receive(message);
    shared?.run();
  } catch (error) {
    // Whatever is thrown here is no answer to a statement: the session cannot be trusted any more.
    reply(["fatal", whyItEnded(log) ?? describe(error)]);
    flush();
    process.exit(1);
  }
  flush();
});

function receive(message: ToThread): void {
  switch (message[0]) {
    case "query": {
      const [, call, client, text, parameters] = message;
      if (shared === undefined) throw new Error("a statement came before the database was open");
      shared.submit({
        client,
        text,
        parameters,
        settle: (outcome) =>
          reply(outcome instanceof Error ? ["error", call, pack(outcome)] : ["result", call, outcome]),
      });
      break;
    }
    case "release":
      // What the client sent before comes first.
      shared?.run();
      shared?.release(message[1]);
      break;
    case "order": {
      const [, call, order] = message;
      void obey(order)
        .then(
          (value) => reply(["done", call, value]),
          (error: unknown) => reply(["error", call, pack(error)]),
        )
        .then(flush);
      break;
    }
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case "prepare":
      path = order.path;
      makeFolder(path);
      lock = await FolderLock.acquire(path);
      try {
        refuseOwned();
        writeOwner(path);
        return hasData(path);
      } catch (error) {
        if (error instanceof EmbeddedDatabaseError) throw error;
        throw pathError(path, error);
      }
    case "install":
      return installImage(order.image, path);
    case "start":
      await start(order.beside);
      break;
    case "adopt":
      shared = undefined;
      session?.dropTemplates();
      await session?.close();
      saveImage(newDataFolder(path), order.image);
      renameSync(newDataFolder(path), dataFolder(path));
      break;
    case "setAddress":
      writeOwner(path, order.address);
      break;
    case "close":
      shared?.finish();
      shared = undefined;
      if (order.handBack) handBack();
      await session?.close();
      if (lock !== undefined) removeOwner(path);
      lock?.release();
      break;
  }
  return undefined;
}

/** The lock can be free although its process lives: see {@link certainOwner}. */
function refuseOwned(): void {
  const owner = certainOwner(path);
  if (owner === undefined) return;
  lock?.release();
  lock = undefined; // Nothing of the owner's is to be removed when this thread ends.
  throw new EmbeddedLockedError(path, owner);
}

/** What still runs when the database is closed on purpose waits again: no job is to blame for that. */
function handBack(): void {
  try {
    session?.execute(
      "UPDATE job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL, stalled_marked = false WHERE state = 'active'",
    );
  } catch (error) {
    // They are handed back when the folder is opened again.
    if (!(error instanceof StatementError)) throw error;
  }
}

async function start(beside: boolean): Promise<void> {
  const data = beside ? newDataFolder(path) : dataFolder(path);
  log.length = 0;
  try {
    if (beside) mkdirSync(data, { mode: 0o700 });
    session = await PostgresSession.open(data, log);
  } catch (error) {
    const said = lastWords(log);
    const full = said !== undefined && /No space left|quota|Read-only|Permission denied/i.test(said);
    if (full) throw pathError(path, new Error(said, { cause: error }));
    if (beside || typeof (error as NodeJS.ErrnoException).code === "string") throw pathError(path, error);
    throw damaged(path, said ?? describe(error), error);
  }
  shared = new SharedSession(session, (client, channel, payload) =>
    reply(["notification", client, channel, payload]),
  );
}

/** PostgreSQL's last complaint, and a full disk where that came before it: what follows one can read like anything. */
function whyItEnded(lines: readonly string[]): string | undefined {
  const last = lastWords(lines);
  if (last === undefined || /No space left/.test(last)) return last;
  const full = lines.findLast((line) => /No space left/.test(line))?.replace(/^.*?(?=ERROR|LOG|WARNING)/, "");
  return full === undefined ? last : `${full} (then ${last})`;
}

/** PostgreSQL's last complaint that ends a session, without its time and process number. */
function lastWords(lines: readonly string[]): string | undefined {
  return lines.findLast((line) => /FATAL|PANIC/.test(line))?.replace(/^.*?(?=FATAL|PANIC)/, "");
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function pack(error: unknown): ThreadError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof StatementError) {
    return { kind: "postgres", message, fields: error.fields, stack: undefined };
  }
  if (error instanceof EmbeddedLockedError) {
    return { kind: "locked", message, fields: { path, pid: error.pid, address: error.address }, stack };
  }
  if (error instanceof EmbeddedDatabaseError) {
    return { kind: "embedded", message, fields: { path: error.path, code: error.code }, stack };
  }
  return { kind: "other", message, fields: {}, stack };
}
