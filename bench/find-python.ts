import { spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";

/** A Python, and what it calls itself. */
export interface Python {
  readonly command: string;
  readonly version: string;
}

/**
 * The Python to compare with: the one in TASKLOOM_PYTHON, else the newest asyncio that is found. uvloop is often
 * installed in another one than that: the first that has it is taken.
 */
export function findPython(module: "asyncio" | "uvloop"): Python | undefined {
  const root = process.env["PYENV_ROOT"] ?? join(homedir(), ".pyenv");
  const pyenv = join(root, "versions/3.13.0/bin/python3.13");
  const source = `import platform, ${module}; print(platform.python_version(), getattr(${module}, "__version__", ""))`;
  for (const command of [
    process.env["TASKLOOM_PYTHON"],
    pyenv,
    "python3.13",
    "python3",
    "/usr/bin/python3",
  ]) {
    if (command === undefined || command === "") continue;
    const { status, stdout } = spawnSync(command, ["-c", source], { encoding: "utf8" });
    if (status === 0) return { command, version: stdout.trim() };
  }
  return undefined;
}
