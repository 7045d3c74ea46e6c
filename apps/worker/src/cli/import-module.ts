import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CliFailure } from "../errors/cli-failure.ts";

/**
 * Imports a task module by its path or URL.
 *
 * @throws {@link CliFailure} with the code `MODULE` if the module cannot be loaded.
 */
export async function importModule(specifier: string): Promise<object> {
  const url = URL.canParse(specifier) ? specifier : pathToFileURL(resolve(specifier)).href;
  try {
    return (await import(url)) as object;
  } catch (error) {
    throw new CliFailure("MODULE", `Cannot load the task module ${specifier}: ${reasonOf(error, url)}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown, url: string): string {
  if (!(error instanceof Error)) return String(error);
  const { code, message, stack = "", url: missing }: NodeJS.ErrnoException & { url?: string } = error;
  if (code === "ERR_MODULE_NOT_FOUND" && missing === url) return "there is no such file; correct its path";
  // The place can be in the module or in a module that it imports. For a syntax error the stack begins with it.
  const place = (/^\S+:\d+(?=\n)/.exec(stack) ?? /file:\/\/\S+?:\d+/.exec(stack))?.[0];
  if (place === undefined || code === "ERR_MODULE_NOT_FOUND") return message;
  return `${message} (${place.replace(/^file:\/\//, "")})`;
}
