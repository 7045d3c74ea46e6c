import { strandStorage } from "./context.ts";
import { machine } from "./machine.ts";
import { turn } from "../kernel/turn.ts";
import { ENDED } from "./states.ts";
import type { Strand } from "./strand.ts";

/** Returns the strand of the running code; null outside any task. */
export function currentStrand(): Strand | null {
  return machine.strand ?? awaitingStrand();
}

/** Returns the strand whose `async` function runs now; null elsewhere, in a generator's step and in a callback. */
export function awaitingStrand(): Strand | null {
  // Async functions run in microtasks, between turns. Until their first await they run in the step that calls them.
  if (!machine.inAsync && (machine.strand !== null || turn.loop !== null)) return null;
  let strand: Strand | null = strandStorage.getStore() ?? null;
  while (strand !== null && strand._phase === ENDED) strand = strand._parent;
  return strand;
}
