import { fileURLToPath } from "node:url";

/** The folder of this package's files; null in a bundle, which has no files of this package. */
const FOLDER: { readonly path: string; readonly url: string } | null = folderOf(import.meta.url);

function folderOf(url: string): { path: string; url: string } | null {
  const folder = /^(file:.*\/)own-frames\.[jt]s$/.exec(url)?.[1];
  return folder === undefined ? null : { path: fileURLToPath(folder), url: folder };
}

/**
 * Whether a line of a stack is in a file of this package.
 *
 * @param within the folders that count; all files by default
 */
export function isOwnFrame(line: string, within?: readonly string[]): boolean {
  if (FOLDER === null) return false;
  // Node prints modules as URLs. Test runners and loaders print paths.
  const { path, url } = FOLDER;
  const start = line.includes(url) ? url : path;
  const at = line.indexOf(start);
  if (at === -1) return false;
  const file = line.slice(at + start.length);
  return within === undefined || within.includes(file.split(/[/\\]/, 1)[0]!);
}

/** The files of the other packages of Taskloom, which stand between a program and this one. */
const SIBLINGS = /[/\\](?:@taskloom|packages)[/\\](?:offload|queue|workflow)[/\\](?:src|dist)[/\\]/;

/** Returns the innermost line of a stack that is not in a file of Taskloom, as `file.ts:41`. */
export function userLine(stack: string | undefined): string | undefined {
  for (const line of stack?.split("\n") ?? []) {
    if (
      !line.trimStart().startsWith("at ") ||
      isOwnFrame(line) ||
      SIBLINGS.test(line) ||
      line.includes("node:")
    )
      continue;
    const place = /([^/\\(\s]+:\d+):\d+\)?$/.exec(line)?.[1];
    if (place !== undefined) return place;
  }
  return undefined;
}
