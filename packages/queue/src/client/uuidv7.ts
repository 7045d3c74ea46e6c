import { randomFillSync } from "node:crypto";

const pool = Buffer.alloc(16 * 256);
let next = pool.length;

/**
 * A UUID that sorts by the time it was made: RFC 9562, version 7. Node has only version 4 before 24.16, and ids that
 * sort keep an engine's index compact.
 */
export function uuidv7(now: number = Date.now()): string {
  // Randomness is drawn for many ids at once: a draw of its own for each costs ten times as much.
  if (next === pool.length) {
    randomFillSync(pool);
    next = 0;
  }
  pool.writeUIntBE(now, next, 6);
  pool[next + 6] = (pool[next + 6]! & 0x0f) | 0x70;
  pool[next + 8] = (pool[next + 8]! & 0x3f) | 0x80;
  const hex = pool.toString("hex", next, next + 16);
  next += 16;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
