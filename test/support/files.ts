import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "vitest";

/** A test with an empty folder of its own. */
export const folderTest = test.extend<{ folder: string }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "taskloom-test-"));
    await use(folder);
    await rm(folder, { recursive: true, force: true });
  },
});

/** Writes files below a folder. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

/** Returns text that compresses like prose, the same for the same seed. */
export function prose(seed: number, bytes: number): string {
  let state = seed + 1;
  let text = "";
  while (text.length < bytes) {
    state = (state * 48_271) % 2_147_483_647;
    text += state.toString(36).slice(0, 1 + (state % 6)) + (state % 11 === 0 ? "\n" : " ");
  }
  return text.slice(0, bytes);
}
