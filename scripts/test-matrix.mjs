// Runs the tests on every Node that the packages support, the oldest first: `pnpm test:matrix [files]`.
// npx fetches the ones that are not the devDependency; a version that fails does not hide the next one.
import { spawnSync } from "node:child_process";

const versions = ["22", "24", "26"];
const files = process.argv.slice(2);
const failed = versions.filter((version) => {
  console.log(`\n=== Node ${version}`);
  const { status } = spawnSync(
    "npx",
    ["--yes", `node@${version}`, "node_modules/vitest/vitest.mjs", "run", ...files],
    { stdio: "inherit", shell: process.platform === "win32" },
  );
  return status !== 0;
});
console.log(
  failed.length === 0 ? `\nall pass on Node ${versions.join(", ")}` : `\nfailed on Node ${failed.join(", ")}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
