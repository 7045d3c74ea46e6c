import { format } from "node:util";
import { vi } from "vitest";

/** Runs a program, and returns the lines that it printed with console.log. */
export async function outputOf(program: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((...args: unknown[]) => {
    lines.push(...format(...args).split("\n"));
  });
  try {
    await program();
  } finally {
    log.mockRestore();
  }
  return lines;
}
