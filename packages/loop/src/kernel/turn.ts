import type { Loop } from "./loop.ts";

/** The loop whose turn runs now; null between turns. A Node thread runs one turn at a time. */
export const turn: { loop: Loop | null } = { loop: null };
