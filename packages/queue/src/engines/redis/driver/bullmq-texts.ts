import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { valueOr } from "../../../value-or.ts";
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

/** The scripts of BullMQ that our scripts call and do not mirror. The number of keys is a part of each name. */
const CALLED_FILES = {
  moveToDelayed: "moveToDelayed-11.js",
  promote: "promote-9.js",
} as const;

export type CalledScript = keyof typeof CALLED_FILES;

/** The path of a script's file inside the folder of BullMQ's package. */
export function bullFile(name: BullScript | CalledScript): string {
  return `dist/cjs/scripts/${{ ...FILES, ...CALLED_FILES }[name]}`;
}

export const bullScripts: readonly BullScript[] = Object.keys(FILES).filter(
  (name): name is BullScript => name in FILES,
);

/**
 * Returns the text of a script of BullMQ, as the installed package has it.
 *
 * @throws {@link DriverLayoutError} if the package has no such script.
 */
export function bullText(name: BullScript | CalledScript): string {
  const file = `bullmq/${bullFile(name)}`;
  const loaded = valueOr<Record<string, { readonly content?: unknown } | undefined>>(() => load(file), {});
  const content = loaded[name]?.content;
  if (typeof content === "string") return content;
  throw new DriverLayoutError(
    `The installed BullMQ has no script ${name} in ${file}. Install the version of BullMQ that @taskloom/queue depends on`,
  );
}

/**
 * Returns a Lua function with the text of a script of BullMQ, as a field of a table. The driver's scripts call it for the
 * rare jobs, so these jobs are stored by exactly BullMQ's code, in their order between the others. BullMQ's text makes all of
 * its helper functions inside, so a script that does not call the function pays for one closure only.
 */
export function bullFunction(table: string, name: BullScript | CalledScript): string {
  return `function ${table}.${name}(KEYS, ARGV)\n${bullText(name)}\nend\n`;
}

/** The SHA-1 of the texts of BullMQ's scripts for which the driver was written. */
const MIRRORED: Readonly<Record<BullScript, string>> = {
  addStandardJob: "5ab432e88830d573e2fa33392ffbd4ad25a9b100",
  addDelayedJob: "81698fd2d28e7db1787595b3c464b188fa78bdcf",
  addPrioritizedJob: "299880da0f75f0b376ee8e87d20eae62f964ac5e",
  moveToActive: "d96ca626f1ea141b44a856b312fc636d99aa9ea9",
  moveToFinished: "69666e69dd5621df59067a03de685e55a486560d",
};

/** Returns the scripts whose texts in the installed BullMQ are not those that the driver mirrors. */
export function changedScripts(textOf: (name: BullScript) => string = bullText): BullScript[] {
  return bullScripts.filter((name) => valueOr(() => hashOf(textOf(name)), undefined) !== MIRRORED[name]);
}

/** Returns the SHA-1 of a script's text. */
function hashOf(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
