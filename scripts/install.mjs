// Installs the workspace's dependencies for `npm start`, quietly: what pnpm has to say is shown only when it fails.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

if (!existsSync(new URL("../node_modules/.modules.yaml", import.meta.url))) {
  process.stderr.write("taskloom: installing what this start needs, once …\n");
}
const pnpm = process.env["npm_execpath"];
const [command, args] = pnpm?.match(/\.[cm]?js$/) ? [process.execPath, [pnpm]] : [pnpm ?? "pnpm", []];
const install = spawnSync(command, [...args, "install", "--frozen-lockfile"], { encoding: "utf8" });
if (install.status !== 0) {
  process.stderr.write(`${install.stdout}${install.stderr}`);
  process.stderr.write("taskloom: installing the dependencies failed; the lines above say why.\n");
  process.exit(install.status ?? 1);
}
