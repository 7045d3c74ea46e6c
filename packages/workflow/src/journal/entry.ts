import { hash } from "node:crypto";
import type { Json } from "@taskloom/queue/wire";

/** The states of an end: a result, an error, or a cancellation. */
export const COMPLETED = 0;
export const FAILED = 1;
export const CANCELLED = 2;
export type EndState = typeof COMPLETED | typeof FAILED | typeof CANCELLED;

/** The end of a command. The value is the encoded result or error, or the message of the cancellation. */
export type EndRecord = readonly [command: number, state: EndState, value: Json];
/** A failed attempt of a step that is repeated at `due`. */
export type AttemptRecord = readonly [command: number, mark: "a", attempt: number, due: number, error: Json];
export type SignalRecord = readonly [mark: "s", name: string, payload: Json];
export type UpdateRecord = readonly [mark: "u", id: string, name: string, args: Json];
export type CancelRecord = readonly [mark: "c", message: string | null];

/** An item that the world may deliver to a run. */
export type Delivery = EndRecord | SignalRecord | UpdateRecord | CancelRecord;

/**
 * An item of the inbox: the JSON text of a delivery. Signals and cancels have the key of their delivery behind it, which is
 * not recorded. So the texts of two of them differ, even if their payloads are the same. Other clients may leave it out.
 */
export type InboxItem =
  | EndRecord
  | UpdateRecord
  | readonly [mark: "s", name: string, payload: Json, key?: string]
  | readonly [mark: "c", message: string | null, key?: string];

/** Returns whether no other item has the text of this one. */
export function isDistinct(item: string): boolean {
  let decoded: unknown;
  try {
    decoded = JSON.parse(item);
  } catch {
    return false; // Another client can have stored any text.
  }
  if (!Array.isArray(decoded)) return false;
  const [mark] = decoded as readonly unknown[];
  return typeof mark === "number" || mark === "u" || decoded.length === (mark === "s" ? 4 : 3);
}
/** An item of a tick: a delivery, or the run's own note on a failed attempt. */
export type DeliveryRecord = Delivery | AttemptRecord;

/** A step, a job or a child workflow. `args` is `argumentsText()` of the encoded arguments. */
export type CallRecord = readonly [
  command: number,
  kind: "s" | "j" | "w",
  name: string,
  version: number,
  args: string,
];
export type CommandRecord =
  | CallRecord
  | readonly [mark: "c", command: number]
  | readonly [mark: "p", name: string]
  | readonly [mark: "v", name: string, value: Json]
  | readonly [mark: "u", id: string, state: EndState, value: Json]
  | readonly [mark: "x", name: string, version: number, args: Json]
  | readonly [mark: "e", state: EndState, value: string];

/**
 * The version of the order in which the loop runs what is ready. A history is bound to it: another order issues the
 * commands in other ticks or places. A change of the kernel that breaks the histories in `test/fixtures` raises it, and
 * keeps the old order for old histories, or refuses them. Histories without a version have order 1.
 */
export const ORDER = 1;

/** One tick, decoded: its time in milliseconds since 1970, its deliveries and its commands. */
export interface Entry {
  /** The version of the loop's order, in the first entry of a history; undefined in others. */
  readonly order: number | undefined;
  readonly time: number;
  readonly deliveries: readonly DeliveryRecord[];
  readonly commands: readonly CommandRecord[];
}

/**
 * Returns the text of a tick. The commands are the last element, so that a replay compares them as the end of the text
 * and decodes nothing. The first entry of a history begins with the version of the order, as `["o1", …]`.
 */
export function encodeEntry(isFirst: boolean, time: number, deliveries: string, commands: string): string {
  return `[${isFirst ? `"o${ORDER}",` : ""}${time},${deliveries},${commands}]`;
}

/** Returns whether the commands of an entry are these. The text of an element of a list ends where its bracket closes. */
export function hasCommands(entry: string, commands: string): boolean {
  return entry.endsWith(`,${commands}]`);
}

type Decoded = [time: number, deliveries: DeliveryRecord[], commands: CommandRecord[]];

/** @throws SyntaxError if the text is not JSON. */
export function decodeEntry(text: string): Entry {
  if (text.startsWith('["o')) {
    const [order, ...rest] = JSON.parse(text) as [string, ...Decoded];
    return entryOf(Number(order.slice(1)), rest);
  }
  return entryOf(undefined, JSON.parse(text) as Decoded);
}

function entryOf(order: number | undefined, [time, deliveries, commands]: Decoded): Entry {
  return { order, time, deliveries, commands };
}

/** The beginning of an encoded error. */
const ERROR_MARK = '"$taskloom":"error"';

/**
 * Returns an encoded value as text, as a command records it: without the stacks of its errors. They have the paths and
 * lines of one worker, and a replay elsewhere, or after a change of other lines, has other ones.
 */
export function stackless(encoded: Json): string {
  const text = JSON.stringify(encoded);
  if (!text.includes(ERROR_MARK)) return text;
  return JSON.stringify(JSON.parse(text), (_key, value: unknown) =>
    typeof value === "object" && value !== null && "$taskloom" in value && value.$taskloom === "error"
      ? { ...value, stack: "" }
      : value,
  );
}

/** Returns the same as a value. */
export function recordable(encoded: Json): Json {
  return JSON.parse(stackless(encoded)) as Json;
}

/** Arguments up to this length are recorded whole; of others the journal has a hash and a beginning. */
const WHOLE = 200;

/**
 * Returns encoded arguments as a command records them. Short ones are recorded whole. Of long ones there is a hash of
 * 64 bits and the beginning, for people: a replay makes the arguments again.
 */
export function argumentsText(encoded: Json): string {
  return shortened(stackless(encoded));
}

export function shortened(text: string): string {
  if (text.length <= WHOLE) return text;
  return `h:${hash("sha1", text, "hex").slice(0, 16)} ${text.slice(0, WHOLE)}`;
}
