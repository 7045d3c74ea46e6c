import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** What a walk through a directory found. */
export interface Walk {
  /** Regular files, sorted, as paths from the directory. */
  readonly files: string[];
  /** What could not be walked through, and why. */
  readonly failures: { readonly path: string; readonly error: Error }[];
}

/**
 * Finds every regular file below `directory`, as `find -type f` does: links are not followed.
 *
 * A directory below it that cannot be read is reported and does not stop the walk; that is why this is not one of the
 * globbing libraries, which pass over such directories in silence.
 *
 * @param leaveOut tells of a path below `directory` whether to pass over it.
 * @throws when `directory` itself cannot be read.
 */
export async function walk(directory: string, leaveOut: (path: string) => boolean): Promise<Walk> {
  const files: string[] = [];
  const failures: { path: string; error: Error }[] = [];
  const enter = async (below: string): Promise<void> => {
    for (const entry of await entriesOf(join(directory, below))) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (leaveOut(path)) continue;
      if (entry.name.includes("\uFFFD")) {
        failures.push({ path, error: new Error("its name is not UTF-8; rename it") });
      } else if (entry.isDirectory()) {
        await enter(path).catch((error: unknown) => failures.push({ path, error: error as Error }));
      } else if (entry.isFile()) {
        files.push(path);
      }
    }
  };
  await enter("");
  return { files: files.toSorted(), failures };
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  return await readdir(directory, { withFileTypes: true });
}
