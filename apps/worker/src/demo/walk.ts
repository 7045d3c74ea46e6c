import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** The result of a walk through a directory. */
export interface Walk {
  /** The sorted paths of regular files, relative to the directory. */
  readonly files: string[];
  /** The paths that could not be read, with the reasons. */
  readonly failures: { readonly path: string; readonly error: Error }[];
}

/**
 * Finds every regular file below `directory`, as `find -type f` does: links are not followed.
 *
 * A directory below it that cannot be read is reported and does not end the walk. Globbing libraries are no alternative,
 * because they skip such directories silently.
 *
 * @param leaveOut returns whether to skip a path below `directory`.
 * @throws the error of the file system if `directory` itself cannot be read.
 */
export async function walk(directory: string, leaveOut: (path: string) => boolean): Promise<Walk> {
  const files: string[] = [];
  const failures: { path: string; error: Error }[] = [];
  const enter = async (below: string): Promise<void> => {
    for (const entry of await entriesOf(join(directory, below))) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (leaveOut(path)) continue;
      if (entry.name.includes("\uFFFD")) {
        failures.push({ path, error: new Error("The name of the file is not UTF-8; rename it") });
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
