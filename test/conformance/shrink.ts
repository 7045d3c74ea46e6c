import type { Program } from "./program.ts";

/**
 * Returns a smaller program for which `differs` still holds. Statements are deleted, and blocks replace the
 * statements that contain them, until no step is possible. References count modulo the current length, so
 * every deletion leaves a program that runs.
 */
export async function shrink(
  program: Program,
  differs: (candidates: Program[]) => Promise<boolean[]>,
): Promise<Program> {
  let best = program;
  for (;;) {
    const candidates = [...reductions(best)];
    let found: Program | undefined;
    // Candidates are tested in slices, so the Python process receives few requests, and a hit near the start
    // is cheap.
    for (let from = 0; from < candidates.length && !found; from += 64) {
      const slice = candidates.slice(from, from + 64);
      const index = (await differs(slice)).indexOf(true);
      if (index >= 0) found = slice[index];
    }
    if (!found) return best;
    best = found;
  }
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Path = (string | number)[];

function* reductions(program: Program): Generator<Program> {
  const json = program as unknown as Json;
  const blocks = [...blocksOf(json, [])];
  // Whole blocks are deleted first, and large steps before small ones.
  for (const path of blocks) {
    const block = get(json, path) as Json[];
    for (let size = block.length; size >= 1; size = size >> 1) {
      for (let start = 0; start + size <= block.length; start += size) {
        if (size > 1 && size === block.length && block.length === 0) continue;
        yield replace(json, path, block.toSpliced(start, size));
      }
    }
  }
  for (const path of blocks) {
    const block = get(json, path) as Json[];
    for (const [index, statement] of block.entries()) {
      for (const inner of ["body", "handler", "finally"]) {
        const held = (statement as { [key: string]: Json })[inner];
        if (Array.isArray(held) && held.length > 0)
          yield replace(json, path, block.toSpliced(index, 1, ...held));
      }
      for (const list of ["items", "refs"]) {
        const held = (statement as { [key: string]: Json })[list];
        if (!Array.isArray(held)) continue;
        for (let i = held.length - 1; i >= 0; i--) {
          // An item that another item repeats stays.
          if (held.some((each) => (each as { same?: number }).same !== undefined) && i < held.length - 1)
            continue;
          yield replace(json, [...path, index, list], held.toSpliced(i, 1));
        }
      }
    }
  }
}

/** Returns every list of statements: main, functions, callbacks, and the blocks of statements. */
function* blocksOf(value: Json, path: Path): Generator<Path> {
  if (Array.isArray(value)) {
    const statements =
      value.length > 0 && value.every((each) => typeof each === "object" && each !== null && "op" in each);
    if (statements) yield path;
    for (const [index, each] of value.entries()) yield* blocksOf(each, [...path, index]);
  } else if (typeof value === "object" && value !== null) {
    for (const key of Object.keys(value)) yield* blocksOf(value[key]!, [...path, key]);
  }
}

function get(value: Json, path: Path): Json {
  return path.reduce<Json>((at, key) => (at as { [key: string]: Json })[key]!, value);
}

function replace(value: Json, path: Path, by: Json): Program {
  const copy = structuredClone(value);
  const parent = get(copy, path.slice(0, -1)) as { [key: string]: Json };
  parent[path.at(-1)!] = by;
  return copy as unknown as Program;
}
