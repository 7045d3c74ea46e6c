import { execFile } from "node:child_process";
import { copyFile, lstat, mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { pnpm } from "../embedded/checkouts.ts";

/** The block of a file system, in bytes: a file takes whole blocks. */
const BLOCK = 4_096;
const TASKS = `import { defineTask } from "@taskloom/queue";
export const increment = defineTask({ name: "bench.increment" }, async (n) => n + 1);
`;

/** A folder of a user, in which the packed packages of a checkout are installed by npm. */
export interface Installation {
  readonly folder: string;
  /** The space on disk of `node_modules`, in MiB. */
  readonly size: number;
}

/** Packs packages of a built checkout, by their folders, and installs them with npm in a project of its own. */
export async function installed(checkout: string, packages: readonly string[]): Promise<Installation> {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-bench-"));
  const tarballs = join(folder, "tarballs");
  await mkdir(tarballs);
  for (const each of packages) await pnpm(join(checkout, each), "pack", "--pack-destination", tarballs);
  const files = (await readdir(tarballs)).map((name) => `./tarballs/${name}`);
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await promisify(execFile)("npm", ["install", "--no-audit", "--no-fund", ...files], { cwd: folder });
  await writeFile(join(folder, "tasks.mjs"), TASKS);
  await copyFile(fileURLToPath(new URL("program.mjs", import.meta.url)), join(folder, "program.mjs"));
  return { folder, size: (await blocksIn(join(folder, "node_modules"))) / 1_048_576 };
}

/** Returns the space that a folder takes, in bytes: the blocks of its files, and one for each folder. */
async function blocksIn(folder: string): Promise<number> {
  let bytes = BLOCK;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const { size } = await lstat(join(entry.parentPath, entry.name));
    bytes += entry.isDirectory() ? BLOCK : Math.ceil(size / BLOCK) * BLOCK;
  }
  return bytes;
}
