import { randomFillSync } from "node:crypto";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const randomCharacters = 16;
const pool = Buffer.alloc(randomCharacters * 256);
let next = pool.length;
let lastTime = -1;
let timeCharacters = "";

/**
 * An id that sorts by the time it was made: 48 bits of milliseconds and 80 random ones, in 26 characters
 * (https://github.com/ulid/spec, without its monotonic variant). A UUID says the same in 36, and the ids of jobs are
 * what Redis spends most on beside the jobs themselves.
 */
export function ulid(now: number = Date.now()): string {
  if (now !== lastTime) {
    lastTime = now;
    timeCharacters = encodeTime(now);
  }
  if (next === pool.length) fill();
  const random = pool.toString("latin1", next, next + randomCharacters);
  next += randomCharacters;
  return timeCharacters + random;
}

/** Randomness is drawn for many ids at once: a draw of its own for each costs ten times as much. */
function fill(): void {
  randomFillSync(pool);
  for (const [at, byte] of pool.entries()) pool[at] = alphabet.charCodeAt(byte & 31);
  next = 0;
}

function encodeTime(milliseconds: number): string {
  let text = "";
  for (let rest = milliseconds, at = 0; at < 10; at++) {
    text = alphabet.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
