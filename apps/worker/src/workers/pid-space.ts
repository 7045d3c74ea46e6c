import { readlinkSync } from "node:fs";
import { hostname } from "node:os";

/**
 * The name of the space in which process ids are unique: the host and, on Linux, the namespace of process ids.
 * Containers can share the name of a host without sharing its processes.
 */
export const PID_SPACE: string = `${hostname()} ${namespace()}`;

function namespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return ""; // Outside Linux the host is the namespace.
  }
}

/** Returns whether a process of this machine has ended; false for a process in another space. */
export function isGone({ pid, pidSpace }: { readonly pid: number; readonly pidSpace: string }): boolean {
  if (pidSpace !== PID_SPACE) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
