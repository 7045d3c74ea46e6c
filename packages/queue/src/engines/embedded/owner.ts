import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processStart } from "./process-start.ts";

/** The process that has a folder open, and the HTTP address at which it answers. */
export interface Owner {
  pid: number;
  address?: string;
}

const ownerFile = (path: string): string => join(path, "owner.json");

/**
 * Tells which living process last said that it owns the folder at `path`, or `undefined`.
 *
 * The file is a signpost and not the lock: a process number can have been given to another program since.
 * Who must be sure talks to the address, or opens the folder.
 *
 * ```ts
 * import { readOwner } from "@taskloom/queue";
 * const owner = readOwner(".taskloom");
 * if (owner?.address !== undefined) console.log(`ask ${owner.address}`);
 * ```
 */
export function readOwner(path: string): Owner | undefined {
  const { pid, address } = readFile(path);
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  return typeof address === "string" ? { pid, address } : { pid };
}

/**
 * The process that owns a folder for certain: it lives, and started when the owner did. Undefined when that is this
 * process, and when the owner may be another than the process of its number, as on a system that does not tell when a
 * process started.
 *
 * It holds where the lock is lost: a POSIX lock is the process's, and closing any descriptor of the file lets go of it,
 * as when something in the owner's process reads all files of the folder.
 */
export function certainOwner(path: string): Owner | undefined {
  const owner = readOwner(path);
  if (owner === undefined || owner.pid === process.pid) return undefined;
  const { started } = readFile(path);
  return typeof started === "string" && started === processStart(owner.pid) ? owner : undefined;
}

function readFile(path: string): { pid?: unknown; address?: unknown; started?: unknown } {
  try {
    const owner: unknown = JSON.parse(readFileSync(ownerFile(path), "utf8"));
    return typeof owner === "object" && owner !== null ? owner : {};
  } catch {
    return {};
  }
}

/** Says that this process owns a folder. */
export function writeOwner(path: string, address?: string): void {
  const { pid } = process;
  const owner = { pid, address, started: processStart(pid) };
  const file = ownerFile(path);
  // Renamed into place: a reader sees the old file or the new one, never half of one.
  const draft = `${file}.${owner.pid}`;
  writeFileSync(draft, `${JSON.stringify(owner)}\n`);
  renameSync(draft, file);
}

export function removeOwner(path: string): void {
  rmSync(ownerFile(path), { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
