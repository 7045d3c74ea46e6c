import { randomFillSync } from "node:crypto";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_CHARACTERS = 16;
const pool = Buffer.alloc(RANDOM_CHARACTERS * 256);
let next = pool.length;
let lastTime = -1;
let timeCharacters = "";

/**
 * Returns an id that sorts by its time: 48 bits of milliseconds and 80 random bits, in 26 characters
 * (https://github.com/ulid/spec, without the monotonic variant). A UUID needs 36 characters, and ids of jobs are the
 * largest part of Redis' memory beside the jobs themselves.
 */
export function ulid(now: number = Date.now()): string {
  if (now !== lastTime) {
    lastTime = now;
    timeCharacters = encodeTime(now);
  }
  if (next === pool.length) fill();
  const random = pool.toString("latin1", next, next + RANDOM_CHARACTERS);
  next += RANDOM_CHARACTERS;
  return timeCharacters + random;
}

/** Draws random characters for many ids at once. One draw for each id would cost ten times as much. */
function fill(): void {
  randomFillSync(pool);
  for (let at = 0; at < pool.length; at++) pool[at] = ALPHABET.charCodeAt(pool[at]! & 31);
  next = 0;
}

function encodeTime(milliseconds: number): string {
  let text = "";
  for (let rest = milliseconds, at = 0; at < 10; at++) {
    text = ALPHABET.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
