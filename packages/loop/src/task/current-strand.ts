import { strandStorage } from "./context.ts";
import { machine } from "./machine.ts";
import { turn } from "../kernel/turn.ts";
import { ENDED } from "./states.ts";
import type { Strand } from "./strand.ts";

/** The strand of the code that is running now; null outside any task. */
export function currentStrand(): Strand | null {
  return machine.strand ?? awaitingStrand();
}

/** The strand whose `async` function is running now; null outside any, in a generator's step and in a callback. */
export function awaitingStrand(): Strand | null {
  // Async functions run in microtasks, when no turn is under way; up to the first await, in the step that calls them.
  if (!machine.inAsync && (machine.strand !== null || turn.loop !== null)) return null;
  let strand: Strand | null = strandStorage.getStore() ?? null;
  while (strand !== null && strand._phase === ENDED) strand = strand._parent;
  return strand;
}
