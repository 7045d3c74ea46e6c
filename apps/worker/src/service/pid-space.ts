import { readlinkSync } from "node:fs";
import { hostname } from "node:os";

/**
 * Where process ids are unique: the host, and on Linux its namespace of process ids, since containers can share a
 * host's name and not its processes.
 */
export const pidSpace: string = `${hostname()} ${namespace()}`;

function namespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return ""; // Not Linux: the host is the namespace.
  }
}

/** Whether a process of this machine has ended; false for a process that cannot be seen from here. */
export function isGone(process_: { readonly pid: number; readonly pidSpace: string }): boolean {
  if (process_.pidSpace !== pidSpace) return false;
  try {
    process.kill(process_.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
