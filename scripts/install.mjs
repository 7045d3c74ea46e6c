// Installs the workspace's dependencies for `npm start`. The first time, pnpm shows its progress on a terminal; later its
// output is shown only when it fails.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const isFirst = !existsSync(new URL("../node_modules/.modules.yaml", import.meta.url));
const isShown = isFirst && process.stderr.isTTY;
const pnpm = process.env["npm_execpath"];
const [command, args] = pnpm?.match(/\.[cm]?js$/) ? [process.execPath, [pnpm]] : [pnpm ?? "pnpm", []];
const install = spawnSync(command, [...args, "install", "--frozen-lockfile"], {
  encoding: "utf8",
  // Standard output belongs to the results of the start.
  stdio: isShown ? ["inherit", 2, 2] : "pipe",
});
if (install.status !== 0) {
  process.stderr.write(`${install.stdout ?? ""}${install.stderr ?? ""}`);
  process.stderr.write("taskloom: installing the dependencies failed; the lines above say why.\n");
  process.exit(install.status ?? 1);
}
