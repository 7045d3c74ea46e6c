#!/usr/bin/env node
import { program } from "./cli/program.ts";
import { exitCodeOf, failureLine } from "./cli/failure.ts";
import { visibleText } from "./service/visible-text.ts";

try {
  process.exitCode = await program(process.argv.slice(2));
} catch (error) {
  const line = failureLine(error);
  process.stderr.write(`taskloom: ${process.stderr.isTTY ? visibleText(line) : line}\n`);
  process.exitCode = exitCodeOf(error);
}
// Whatever a failed start left open must not keep the process from ending.
process.exit();
