import type { Comparison } from "../compare.ts";
import type { TextMutant } from "./text-mutant.ts";

/** The result of the sequences with one mutant; `after` is the number of sequences until it was noticed. */
export type Verdict =
  | { readonly kind: "caught"; readonly after: number; readonly at: string }
  | { readonly kind: "endless"; readonly after: number }
  | { readonly kind: "survived" };

/** The mutants of one engine, and the sequences that must notice them. */
export interface Judge {
  mutants(): TextMutant[];
  /** Returns whether the engine accepts the changed text. */
  isValid(mutant: TextMutant): Promise<boolean>;
  /** Runs sequences in their order until one differs from BullMQ's side. */
  verdict(mutant: TextMutant, comparisons: readonly Comparison[]): Promise<Verdict>;
  close(): Promise<void>;
}
