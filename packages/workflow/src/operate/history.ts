import { decodeError, decodeValue } from "@taskloom/queue/wire";
import type { Json } from "@taskloom/queue/wire";
import { decodeEntry } from "../journal/entry.ts";
import type { CommandRecord, DeliveryRecord, EndState } from "../journal/entry.ts";

/** The state of an end in a history. */
export type HistoryState = "completed" | "failed" | "cancelled";

/** An event that came to a run: the end of a step, job or child, a failed attempt of a step, or a message. */
export type HistoryDelivery =
  | { readonly kind: "end"; readonly command: number; readonly state: HistoryState; readonly value: unknown }
  | {
      readonly kind: "attempt";
      readonly command: number;
      readonly attempt: number;
      /** The time of the next attempt, in milliseconds since 1970. */
      readonly due: number;
      readonly error: unknown;
    }
  | { readonly kind: "signal"; readonly name: string; readonly payload: unknown }
  | { readonly kind: "update"; readonly id: string; readonly name: string; readonly args: unknown }
  | { readonly kind: "cancel"; readonly message: string };

/** A command that a run has issued. `args` is text: long arguments are stored as a hash and their beginning. */
export type HistoryCommand =
  | {
      readonly kind: "step" | "job" | "child";
      readonly command: number;
      readonly name: string;
      readonly version: number;
      readonly args: string;
    }
  | { readonly kind: "cancel"; readonly command: number }
  | { readonly kind: "patch"; readonly name: string }
  | { readonly kind: "view"; readonly name: string; readonly value: unknown }
  | {
      readonly kind: "answer";
      readonly update: string;
      readonly state: HistoryState;
      readonly value: unknown;
    }
  | { readonly kind: "continue"; readonly name: string; readonly version: number; readonly args: unknown }
  | { readonly kind: "end"; readonly state: HistoryState; readonly value: string };

/** One tick of a run: its number from 0, its time in milliseconds since 1970, and what it read and issued. */
export interface HistoryTick {
  readonly n: number;
  readonly time: number;
  readonly deliveries: readonly HistoryDelivery[];
  readonly commands: readonly HistoryCommand[];
}

/** The form of the values in a tick. */
export interface ValueReader {
  readonly value: (encoded: Json) => unknown;
  readonly error: (encoded: Json) => unknown;
}

/** Values as the wire's JSON, for programs that pass them on. */
export const ENCODED: ValueReader = { value: (value) => value, error: (error) => error };
/** Values as the run has them. */
export const DECODED: ValueReader = { value: decodeValue, error: decodeError };

const STATES = ["completed", "failed", "cancelled"] as const;
const CALLS = { s: "step", j: "job", w: "child" } as const;

/** Returns the tick of a stored entry. */
export function historyTick(text: string, n: number, read: ValueReader = DECODED): HistoryTick {
  const { time, deliveries, commands } = decodeEntry(text);
  return {
    n,
    time,
    deliveries: deliveries.map((record) => deliveryOf(record, read)),
    commands: commands.map((record) => commandOf(record, read)),
  };
}

function valueOf(state: EndState, value: Json, read: ValueReader): unknown {
  if (state === 0) return read.value(value);
  return state === 1 ? read.error(value) : (value ?? "");
}

function deliveryOf(record: DeliveryRecord, read: ValueReader): HistoryDelivery {
  switch (record[0]) {
    case "s":
      return { kind: "signal", name: record[1], payload: read.value(record[2]) };
    case "u":
      return { kind: "update", id: record[1], name: record[2], args: read.value(record[3]) };
    case "c":
      return { kind: "cancel", message: record[1] ?? "" };
  }
  if (record[1] === "a") {
    const [command, , attempt, due, error] = record;
    return { kind: "attempt", command, attempt, due, error: read.error(error) };
  }
  const [command, state, value] = record;
  return { kind: "end", command, state: STATES[state], value: valueOf(state, value, read) };
}

function commandOf(record: CommandRecord, read: ValueReader): HistoryCommand {
  switch (record[0]) {
    case "c":
      return { kind: "cancel", command: record[1] };
    case "p":
      return { kind: "patch", name: record[1] };
    case "v":
      return { kind: "view", name: record[1], value: read.value(record[2]) };
    case "u": {
      const [, update, state, value] = record;
      return { kind: "answer", update, state: STATES[state], value: valueOf(state, value, read) };
    }
    case "x":
      return { kind: "continue", name: record[1], version: record[2], args: read.value(record[3]) };
    case "e":
      return { kind: "end", state: STATES[record[1]], value: record[2] };
  }
  const [command, kind, name, version, args] = record;
  return { kind: CALLS[kind], command, name, version, args };
}
