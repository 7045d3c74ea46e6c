import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { EmbeddedDatabaseError } from "./errors.ts";
import { POSTGRES_MAJOR } from "./postgres-session.ts";

/** PostgreSQL's files, inside the folder that the user names. */
export const dataFolder = (path: string): string => join(path, "pgdata");

/** Where a data folder is made before it is moved into place; what is found there later was never in use. */
export const newDataFolder = (path: string): string => join(path, "pgdata.new");

const FORMAT = "taskloom image 2";

interface Entry {
  path: string;
  /** Missing: a directory. */
  size?: number;
}

/**
 * Makes the folder if need be and tells what is in it. Nothing that holds data is ever removed.
 */
export function makeFolder(path: string): void {
  try {
    const made = mkdirSync(path, { recursive: true, mode: 0o700 });
    // It is data, wherever it lies: keep it out of the repository around it.
    if (made !== undefined) writeFileSync(join(path, ".gitignore"), "*\n");
  } catch (error) {
    throw pathError(path, error);
  }
}

/** Whether there is a data folder; throws when there is something that is not one. */
export function hasData(path: string): boolean {
  rmSync(newDataFolder(path), { recursive: true, force: true });
  const data = dataFolder(path);
  if (statSync(data, { throwIfNoEntry: false }) === undefined) return false;
  for (const needed of ["PG_VERSION", "global/pg_control", "base", "pg_wal"]) {
    // PGlite would make a new database over one that has lost its PG_VERSION.
    if (statSync(join(data, needed), { throwIfNoEntry: false }) === undefined) {
      throw damaged(path, `${join(data, needed)} is missing`);
    }
  }
  const version = readFileSync(join(data, "PG_VERSION"), "utf8").trim();
  if (version !== POSTGRES_MAJOR) {
    throw new EmbeddedDatabaseError(
      "EMBEDDED_VERSION",
      path,
      `The data in ${path} was written by PostgreSQL ${version}, and this version of Taskloom has PostgreSQL ${POSTGRES_MAJOR}. Use the version of Taskloom that wrote it, or another folder.`,
    );
  }
  return true;
}

export function damaged(path: string, what: string, cause?: unknown): EmbeddedDatabaseError {
  return new EmbeddedDatabaseError(
    "EMBEDDED_DAMAGED",
    path,
    `The data in ${path} is damaged: ${what}. Nothing was removed. Put back a copy of the folder, or move it away (mv ${path} ${path}.damaged) to begin with an empty one.`,
    { cause },
  );
}

export function pathError(path: string, cause: unknown): EmbeddedDatabaseError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const advice: Record<string, string> = {
    ENOTDIR: "it is, or lies below, a file. Name a folder",
    EEXIST: "it is a file. Name a folder",
    EACCES: "this user may not write there. Change its permissions or name another folder",
    EPERM: "this user may not write there. Change its permissions or name another folder",
    EROFS: "the file system is read-only. Name another folder",
    ENOSPC: "the disk is full. Make room and start again",
    EDQUOT: "the disk quota is used up. Make room and start again",
  };
  const why = advice[code ?? (/No space left/.test(message) ? "ENOSPC" : "")] ?? message;
  return new EmbeddedDatabaseError("EMBEDDED_PATH", path, `Cannot use ${path}: ${why}.`, { cause });
}

/**
 * Packs a data folder into one file: initdb takes seconds, unpacking what it made a tenth of one.
 * Best effort: without an image everything works, only slower.
 */
export function saveImage(data: string, image: string): void {
  const entries: Entry[] = [];
  const contents: Buffer[] = [];
  for (const entry of readdirSync(data, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const relative = path.slice(data.length + 1);
    if (entry.isDirectory()) {
      entries.push({ path: relative });
    } else if (entry.isFile()) {
      const content = readFileSync(path);
      entries.push({ path: relative, size: content.length });
      contents.push(content);
    }
  }
  const header = Buffer.from(`${FORMAT}\n${JSON.stringify(entries)}\n`);
  const packed = gzipSync(Buffer.concat([header, ...contents]), { level: 4 });
  const draft = `${image}.${process.pid}`;
  try {
    mkdirSync(dirname(image), { recursive: true, mode: 0o700 });
    writeFileSync(draft, packed, { mode: 0o600 });
    renameSync(draft, image);
  } catch {
    // A cache that is full or read-only. What was written of the draft is written over by the next attempt.
  }
}

/** Unpacks an image to a data folder, in one step as seen from outside. False when there is no usable image. */
export function installImage(image: string, path: string): boolean {
  let packed: Buffer;
  let entries: Entry[];
  let at: number;
  try {
    // gzip's checksum covers all of it.
    packed = gunzipSync(readFileSync(image));
    const line = packed.indexOf("\n");
    const header = packed.indexOf("\n", line + 1);
    if (packed.toString("utf8", 0, line) !== FORMAT || header < 0) return false;
    entries = JSON.parse(packed.toString("utf8", line + 1, header)) as Entry[];
    at = header + 1;
  } catch {
    return false;
  }
  const beside = newDataFolder(path);
  try {
    mkdirSync(beside, { mode: 0o700 });
    for (const { path: name, size } of entries) {
      const target = join(beside, name);
      if (size === undefined) {
        mkdirSync(target, { recursive: true, mode: 0o700 });
      } else {
        writeFileSync(target, packed.subarray(at, at + size), { mode: 0o600 });
        at += size;
      }
    }
    renameSync(beside, dataFolder(path));
  } catch (error) {
    throw pathError(path, error);
  }
  return true;
}
