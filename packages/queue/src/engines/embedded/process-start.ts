import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * A text that names one process of this machine for ever, where its number alone can be given to another later: when it
 * started. Undefined when there is no such process, when it has ended and its parent has not taken note of that, and on
 * a system that does not tell.
 */
export function processStart(pid: number): string | undefined {
  try {
    if (process.platform === "linux") {
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
      // The second field is the program's name in parentheses, and can contain anything; the start is the 22nd.
      const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\)/s, "").trim().split(" ");
      return isOver(fields[0] ?? "") ? undefined : `${boot}/${fields[19]}`;
    }
    // On Windows a lock is the handle's, and closing another one of the file leaves it.
    if (process.platform === "win32") return undefined;
    const told = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [, state = "Z", started] = /^(\S+)\s+(.+)$/.exec(told.toString().trim()) ?? [];
    return isOver(state) ? undefined : started;
  } catch {
    return undefined;
  }
}

/** Whether a process in this state has let go of its files. */
function isOver(state: string): boolean {
  return state.startsWith("Z") || state.startsWith("X");
}
