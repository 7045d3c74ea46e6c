#!/usr/bin/env node
// The `taskloom` command. An installed package runs its build. A checkout runs its sources, so that `npx taskloom` needs
// no build there, and never runs an old one.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 16)) {
  process.stderr.write(
    `taskloom: this is Node ${process.version}; it needs 22.16 or later, so install that.\n`,
  );
  process.exit(1);
}
const isCheckout = existsSync(new URL("../../../pnpm-workspace.yaml", import.meta.url));
if (isCheckout && process.execve !== undefined) {
  // The condition is a flag, so that threads and worker processes inherit it.
  const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url));
  const flags = [...process.execArgv, "--conditions=@taskloom/source"];
  process.execve(process.execPath, [process.execPath, ...flags, bin, ...process.argv.slice(2)], process.env);
}
await import("../dist/bin.js");
