import { spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";

/** A Python and the version that it reports. */
export interface Python {
  readonly command: string;
  readonly version: string;
}

/**
 * Returns the Python for the comparison: TASKLOOM_PYTHON, or else the newest asyncio. uvloop is often
 * installed in another Python; the first one that has it is returned.
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
