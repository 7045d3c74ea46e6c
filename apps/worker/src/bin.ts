#!/usr/bin/env node
import { program } from "./cli/program.ts";
import { CliFailure, exitCodes, failureLine } from "./cli/failure.ts";

try {
  process.exitCode = await program(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`taskloom: ${failureLine(error)}\n`);
  process.exitCode = error instanceof CliFailure ? error.exitCode : exitCodes.failure;
}
// Whatever a failed start left open must not keep the process from ending.
process.exit();
