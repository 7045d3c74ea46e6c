import { unreadableFailure } from "../../../bullmq/deferred-end.ts";

/** The fields that BullMQ parses as soon as it has read a job, and their empty values. A text that is not JSON is an error there. */
const PARSED_FIELDS: Readonly<Record<string, string>> = { opts: "{}", progress: "0", parent: "null" };

/** Empties the faulty fields of a job as Redis returns it, with names and values in turn. */
export function mendFields(fields: unknown[]): void {
  const faults: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = String(fields[at]);
    const empty = PARSED_FIELDS[name];
    if (empty === undefined || isJson(fields[at + 1], name === "opts")) continue;
    faults.push(`its ${name} is not JSON`);
    fields[at + 1] = empty;
  }
  if (faults.length > 0) fields.push("defa", unreadableFailure(faults.join(", ")));
}

function isJson(text: unknown, mustBeObject: boolean): boolean {
  if (text === "" || text == null) return true;
  if (typeof text !== "string") return false;
  try {
    const value: unknown = JSON.parse(text);
    return !mustBeObject || (typeof value === "object" && value !== null);
  } catch {
    return false;
  }
}
