import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

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
  let owner: unknown;
  try {
    owner = JSON.parse(readFileSync(ownerFile(path), "utf8"));
  } catch {
    return undefined;
  }
  if (typeof owner !== "object" || owner === null) return undefined;
  const { pid, address } = owner as { pid?: unknown; address?: unknown };
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  return typeof address === "string" ? { pid, address } : { pid };
}

export function writeOwner(path: string, owner: Owner): void {
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
