import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * Installs the peers at the pinned versions of `peers/package-lock.json`, and returns their folder. It stays in the folder
 * for temporary files for the next run.
 *
 * The peers are no dependencies of the repository: the binary of Restate's server has 216 MB, which each installation of the
 * repository would download. Their scripts do not run, since the only one reports the installation to a statistics service.
 */
export async function installedPeers(): Promise<string> {
  const source = (name: string): string => fileURLToPath(new URL(`peers/${name}`, import.meta.url));
  const lock = await readFile(source("package-lock.json"));
  const version = createHash("sha256").update(lock).digest("hex").slice(0, 12);
  const folder = join(tmpdir(), `taskloom-bench-peers-${version}`);
  const complete = join(folder, "complete");
  if (existsSync(complete)) return folder;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const name of ["package.json", "package-lock.json"]) await copyFile(source(name), join(folder, name));
  await promisify(execFile)("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder });
  await writeFile(complete, "");
  return folder;
}
