// Tries the packages as a new user has them: packed, installed by npm, on each supported Node, with both TypeScripts.
// `pnpm test:packed` makes a project by `taskloom init`, checks the types of every entry point with `skipLibCheck: false`,
// and runs the project's tests and its `npm start`.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

// From 22.23 on, because the two processes of the project share an embedded engine (docs/embedded-engine.md).
const NODES = ["22.23.0", "24"];
const TYPESCRIPTS = ["5.9", "7.0"];
const STOP_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), "taskloom-packed-"));
const run = (file, args, options = {}) => execFileSync(file, args, { stdio: "inherit", ...options });

/** Returns the specifiers of all entry points of the packages of this repository. */
function entryPoints() {
  const manifests = ["packages", "apps"].flatMap((parent) =>
    readdirSync(parent).map((name) => JSON.parse(readFileSync(join(parent, name, "package.json"), "utf8"))),
  );
  return manifests.flatMap(({ name, publishConfig }) =>
    Object.keys(publishConfig?.exports ?? {}).map((path) => join(name, path)),
  );
}

/** Returns an environment in which `node` is this version. */
function environment(version) {
  const args = ["--yes", `--package=node@${version}`, "node", "-p", "process.execPath"];
  const node = execFileSync("npx", args, { encoding: "utf8" }).trim();
  return { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}`, NODE_OPTIONS: "" };
}

/** Runs `npm start` until both processes serve, asks each route, and stops it. */
async function start(project, env) {
  // The program itself: npm would not pass the signal on.
  const service = spawn("node", ["src/start.ts"], {
    cwd: project,
    env: { ...env, PORT: "0", TASKLOOM_PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  const serving = new Promise((resolve) => {
    service.stdout.on("data", (text) => {
      output += text;
      if (output.includes('"event":"ready"') && output.includes("web server: ")) resolve();
    });
  });
  const ended = new Promise((resolve) => service.once("exit", resolve));
  const early = ended.then((code) => Promise.reject(new Error(`npm start ended with ${code}: ${output}`)));
  await Promise.race([serving, early]);
  early.catch(() => {});
  const web = /web server: (\S+)/.exec(output)[1];
  const answers = [
    await fetch(`${web}/digest/a`),
    await fetch(`${web}/mail/ada@example.com`, { method: "POST" }),
    await fetch(`${web}/sign-up/ada@example.com`, { method: "POST" }),
  ].map(({ status }) => status);
  if (answers.join() !== "200,200,202") throw new Error(`The routes answered ${answers.join()}`);
  service.kill("SIGTERM");
  const late = setTimeout(() => service.kill("SIGKILL"), STOP_MS);
  const code = await ended;
  clearTimeout(late);
  if (code !== 0) throw new Error(`npm start ended with ${code} after SIGTERM`);
}

try {
  if (!process.argv.includes("--no-build")) run("pnpm", ["run", "build"]);
  const packed = join(folder, "packed");
  mkdirSync(packed);
  const each = ["-r", "--filter", "./packages/*", "--filter", "./apps/*"];
  run("pnpm", [...each, "exec", "pnpm", "pack", "--pack-destination", packed], { stdio: "ignore" });
  const tarballs = readdirSync(packed).map((file) => join(packed, file));

  for (const version of NODES) {
    const env = environment(version);
    const project = join(folder, `node-${version}`);
    mkdirSync(project);
    console.log(`\n=== Node ${version}`);
    // The command is run from an installation of its own, as npx has one.
    const tool = join(folder, `tool-${version}`);
    mkdirSync(tool);
    const npm = (cwd, ...args) =>
      run("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], { cwd, env });
    npm(tool, "install", ...tarballs);
    run("node", [join(tool, "node_modules/.bin/taskloom"), "init", project], { env });
    npm(project, "install", ...tarballs);
    const imports = entryPoints().map(
      (name, index) => `import * as m${index} from "${name}";\nconsole.log(m${index});\n`,
    );
    writeFileSync(join(project, "src/every-entry-point.ts"), imports.join(""));
    for (const typescript of TYPESCRIPTS) {
      npm(project, "install", "--save-dev", `typescript@${typescript}`);
      run("node", ["node_modules/typescript/bin/tsc", "--exactOptionalPropertyTypes"], { cwd: project, env });
      console.log(`types: fine with TypeScript ${typescript}`);
    }
    rmSync(join(project, "src/every-entry-point.ts"));
    run("npm", ["test"], { cwd: project, env });
    await start(project, env);
    console.log(`npm test and npm start: fine on Node ${version}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
