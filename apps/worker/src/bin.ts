#!/usr/bin/env node
import { program } from "./cli/program.ts";
import { visibleText } from "./terminal/visible-text.ts";

try {
  process.exitCode = await program(process.argv.slice(2));
} catch (error) {
  // Loaded here, since it knows the errors of all packages, and `--help` needs none of them.
  const { exitCodeOf, failureLine } = await import("./cli/failure-report.ts");
  const line = failureLine(error);
  process.stderr.write(`taskloom: ${process.stderr.isTTY ? visibleText(line) : line}\n`);
  process.exitCode = exitCodeOf(error);
}
// A failed start can leave handles open, and these would keep the process alive.
process.exit();
