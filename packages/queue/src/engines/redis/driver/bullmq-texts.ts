import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { DriverLayoutError } from "./driver-layout-error.ts";

const load = createRequire(import.meta.url);

/** The scripts of BullMQ that the driver's scripts mirror, and the file of each in BullMQ's package. */
const FILES = {
  addStandardJob: "addStandardJob-9.js",
  addDelayedJob: "addDelayedJob-6.js",
  addPrioritizedJob: "addPrioritizedJob-9.js",
  moveToActive: "moveToActive-11.js",
  moveToFinished: "moveToFinished-14.js",
} as const;

export type BullScript = keyof typeof FILES;

/** The path of a script's file inside the folder of BullMQ's package. */
export function bullFile(name: BullScript): string {
  return `dist/cjs/scripts/${FILES[name]}`;
}

export const bullScripts: readonly BullScript[] = Object.keys(FILES).filter(
  (name): name is BullScript => name in FILES,
);

/**
 * Returns the text of a script of BullMQ, as the installed package has it.
 *
 * @throws {@link DriverLayoutError} if the file has no such script, and Node's `MODULE_NOT_FOUND` if the package has no such
 *   file.
 */
export function bullText(name: BullScript): string {
  const file = `bullmq/${bullFile(name)}`;
  const loaded: Record<string, { readonly content?: unknown } | undefined> = load(file);
  const content = loaded[name]?.content;
  if (typeof content === "string") return content;
  throw new DriverLayoutError(`${file} has no script ${name}; use BullMQ's own commands with this version`);
}

/**
 * Returns a Lua function with the text of a script of BullMQ, as a field of a table. The driver's scripts call it for the
 * rare jobs, so these jobs are stored by exactly BullMQ's code, in their order between the others. BullMQ's text makes all of
 * its helper functions inside, so a script that does not call the function pays for one closure only.
 */
export function bullFunction(table: string, name: BullScript): string {
  return `function ${table}.${name}(KEYS, ARGV)\n${bullText(name)}\nend\n`;
}

/** Returns the SHA-1 of a script's text, which a test compares with the text that the driver was written for. */
export function bullHash(name: BullScript): string {
  return createHash("sha1").update(bullText(name)).digest("hex");
}
