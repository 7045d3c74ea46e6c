import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The wall time in milliseconds of `npm start -- FOLDER --once` in a checkout that is installed; data is thrown away. */
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
