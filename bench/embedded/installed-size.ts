import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pnpm } from "./checkouts.ts";

/** Packs packages of a checkout, installs them with npm in an empty project, and returns the size of node_modules. */
export async function installedBytes(checkout: string, packages: readonly string[]): Promise<number> {
  const project = await mkdtemp(join(tmpdir(), "taskloom-bench-"));
  try {
    for (const name of packages)
      await pnpm(join(checkout, "packages", name), "pack", "--pack-destination", project);
    const tarballs = (await readdir(project)).filter((name) => name.endsWith(".tgz"));
    await writeFile(join(project, "package.json"), JSON.stringify({ private: true }));
    await promisify(execFile)(
      "npm",
      ["install", "--no-audit", "--no-fund", ...tarballs.map((name) => `./${name}`)],
      { cwd: project },
    );
    return await bytesIn(join(project, "node_modules"));
  } finally {
    await rm(project, { recursive: true, force: true });
  }
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
