import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { resolve as resolvePath } from "node:path";
import { fileURLToPath } from "node:url";
import { CliFailure } from "../errors/cli-failure.ts";

/** @throws {@link CliFailure} if the path is not a directory that this user can read. */
export async function checkDirectory(root: string): Promise<void> {
  try {
    if (!(await stat(root)).isDirectory()) {
      throw new CliFailure(
        "NOT_A_DIRECTORY",
        `${root} is not a directory; name a directory, or none for this project`,
      );
    }
    await access(root, constants.R_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof CliFailure) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT"
        ? "does not exist"
        : code === "EACCES"
          ? "cannot be read by this user"
          : `cannot be read (${code})`;
    throw new CliFailure(
      "DIRECTORY",
      `${root} ${why}; name a directory that can be read, or none for this project`,
      {
        cause: error,
      },
    );
  }
}

/** Returns the folder of this project, which is the default directory. */
export function projectRoot(): string {
  return fileURLToPath(new URL("../../../../", import.meta.url));
}

/** Returns a function that leaves out the data of Taskloom, which changes during the run, and the dependencies of this project. */
export function leaveOut(
  root: string,
  data: string | undefined,
  ownProject: boolean,
): (path: string) => boolean {
  const names = new Set(ownProject ? [".taskloom", "node_modules", ".git"] : [".taskloom"]);
  return (path) =>
    names.has(path.slice(path.lastIndexOf("/") + 1)) ||
    // On POSIX systems, reading the files of an open database releases its locks.
    (data !== undefined && resolvePath(root, path) === data);
}
