import type { Leaf, Strand } from "./strand.ts";

const NO_LEAVES: readonly Leaf[] = [];

/** Returns all leaves of a strand. The list does not follow later changes. */
export function leavesOf({ _leaves }: Strand): readonly Leaf[] {
  if (_leaves === null) return NO_LEAVES;
  return Array.isArray(_leaves) ? _leaves.slice() : [_leaves];
}

/** Adds a leaf; returns whether it is the first. */
export function addTo(strand: Strand, leaf: Leaf): boolean {
  const leaves = strand._leaves;
  if (leaves === null) {
    strand._leaves = leaf;
    return true;
  }
  if (Array.isArray(leaves)) leaves.push(leaf);
  else strand._leaves = [leaves, leaf];
  return false;
}

/** Removes a leaf; returns whether it was the last. */
export function removeFrom(strand: Strand, leaf: Leaf): boolean {
  const leaves = strand._leaves;
  if (leaves === leaf) {
    strand._leaves = null;
    return true;
  }
  if (!Array.isArray(leaves)) return false;
  leaves.splice(leaves.indexOf(leaf), 1); // The list has two or more leaves, and this is one of them.
  if (leaves.length === 1) strand._leaves = leaves[0]!;
  return false;
}
