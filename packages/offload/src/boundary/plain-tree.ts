import { transferListOf } from "./transfer.ts";

/** Deeper values may be cyclic. */
const MAX_DEPTH = 64;
/** Values with more parts may be a few that are shared many times over. */
const MAX_PARTS = 1_000_000;

let parts = 0;

/**
 * Whether structured clone takes a value as it is: objects and lists of data without anything that `pack`
 * notes. It keeps no path and no set of what it has seen, which is most of what `pack` costs, and says false
 * when in doubt.
 */
export function isPlainTree(value: unknown): boolean {
  parts = 0;
  return isPlain(value, 0);
}

function isPlain(value: unknown, depth: number): boolean {
  if (typeof value === "function" || typeof value === "symbol") return false;
  if (typeof value !== "object" || value === null) return true;
  if (depth > MAX_DEPTH || ++parts > MAX_PARTS || transferListOf(value) !== undefined) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Array.prototype) {
    const list = value as readonly unknown[];
    for (let i = 0; i < list.length; i++) {
      const item = list[i];
      if (typeof item !== "number" && typeof item !== "string" && !isPlain(item, depth + 1)) return false;
    }
    return true;
  }
  if (prototype === Object.prototype) {
    // Not `for…in`: on objects that structured clone made, that takes three times as long.
    const items = Object.values(value);
    for (let i = 0; i < items.length; i++) {
      const item = items[i];
      if (typeof item !== "number" && typeof item !== "string" && !isPlain(item, depth + 1)) return false;
    }
    return true;
  }
  return (
    prototype === Uint8Array.prototype || prototype === Float64Array.prototype || prototype === Date.prototype
  );
}
