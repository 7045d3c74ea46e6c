/** The two checkouts of the comparison: this one, and the last state with PGlite as the embedded engine. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The last commit with PGlite, the baseline of every ratio. */
const baselineCommit = "f4b10e7";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Builds this checkout, and the baseline in a git worktree in the folder for temporary files. Returns the
 * baseline's folder. It cannot be under node_modules, where Node runs no TypeScript.
 */
export async function builtBaseline(): Promise<string> {
  const folder = join(tmpdir(), `taskloom-bench-${baselineCommit}`);
  if (!existsSync(folder)) {
    await run("git", ["worktree", "prune"], { cwd: root });
    await run("git", ["worktree", "add", "--detach", folder, baselineCommit], { cwd: root });
  }
  for (const cwd of [root, folder]) {
    await pnpm(cwd, "install", "--frozen-lockfile");
    await pnpm(cwd, "run", "build");
  }
  return folder;
}

/** Runs pnpm in a checkout; returns its standard output. */
export async function pnpm(cwd: string, ...args: string[]): Promise<string> {
  const { stdout } = await run("npx", ["--yes", "pnpm@12.21.0", ...args], {
    cwd,
    env: { ...process.env, CI: "true" },
    maxBuffer: 64 * 1_048_576,
  });
  return stdout;
}
