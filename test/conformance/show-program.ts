import type { Program } from "./program.ts";

/** Returns a program as text, with a line for each of its parts. */
export function showProgram(program: Program): string {
  const parts = [`objects ${JSON.stringify(program.objects)}`];
  for (const [i, body] of program.functions.entries()) parts.push(`f${i} ${JSON.stringify(body)}`);
  for (const [i, body] of program.callbacks.entries()) parts.push(`c${i} ${JSON.stringify(body)}`);
  parts.push(`main ${JSON.stringify(program.main)}`);
  return parts.join("\n");
}
