import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Returns the wall time in milliseconds of `npm start -- FOLDER --once` in an installed checkout. The data is
 * deleted.
 */
export async function mainJobTime(checkout: string, folder: string): Promise<number> {
  const scratch = await mkdtemp(join(tmpdir(), "taskloom-bench-"));
  const out = ["--engine", `embedded:${scratch}/data`, "--out", join(scratch, "out")];
  const from = performance.now();
  const child = spawn("npm", ["start", "--", folder, "--once", ...out], {
    cwd: checkout,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("exit", resolve);
  });
  const time = performance.now() - from;
  await rm(scratch, { recursive: true, force: true });
  if (code !== 0) throw new Error(`npm start -- ${folder} --once ended with ${code} in ${checkout}`);
  return time;
}
