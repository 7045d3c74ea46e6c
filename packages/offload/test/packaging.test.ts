import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const execute = promisify(execFile);
const require = createRequire(import.meta.url);
const here = fileURLToPath(new URL("..", import.meta.url));
const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");

const MAIN = `
  const zlib = threaded("node:zlib", { executor: pool });
  const jobs = threaded(new URL("./jobs.mjs", base), { executor: pool });
  const packed = await zlib.gzipSync(Buffer.from("hello"));
  const results = [
    (await zlib.gunzipSync(packed)).toString(),
    await jobs.double(21),
    await jobs.polite(),
    await pool.submit(async (n, back) => back(n + 1), 1, (n) => n * 10),
  ];
  console.log(JSON.stringify(results));
  await pool.shutdown();`;
const EXPECTED = '["hello",42,"not cancelled",20]\n';

/** A project that has installed the packages as they would be published. */
let project = "";

/** Copies a package as an install leaves it: its files, and the manifest that is published. */
async function install(name: "loop" | "offload"): Promise<void> {
  const source = join(here, "..", name);
  const target = join(project, "node_modules/@taskloom", name);
  const manifest = JSON.parse(await readFile(join(source, "package.json"), "utf8")) as {
    files: string[];
    publishConfig: object;
  };
  for (const file of manifest.files)
    await cp(join(source, file), join(target, file), { recursive: true, force: true }).catch(
      (error: unknown) => {
        if ((error as { code?: string }).code !== "ENOENT") throw error;
      },
    );
  await writeFile(join(target, "package.json"), JSON.stringify({ ...manifest, ...manifest.publishConfig }));
}

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "taskloom-packaging-"));
  await execute(process.execPath, [tsc, "-b", here]);
  const bundle = join(here, "../../scripts/bundle.mjs");
  for (const name of ["loop", "offload"])
    await execute(process.execPath, [bundle], { cwd: join(here, "..", name) });
  await install("loop");
  await install("offload");
  for (const dependency of ["piscina", "comlink"])
    await symlink(join(here, "node_modules", dependency), join(project, "node_modules", dependency));
  await writeFile(
    join(project, "jobs.mjs"),
    `import { checkCancelled } from "@taskloom/offload";
     export const double = (n) => n * 2;
     export const polite = () => { checkCancelled(); return "not cancelled"; };`,
  );
  await writeFile(
    join(project, "main.mjs"),
    `import { ThreadPoolExecutor, threaded } from "@taskloom/offload";
     const base = import.meta.url;
     const pool = new ThreadPoolExecutor({ maxThreads: 2 });
     ${MAIN}`,
  );
  await writeFile(
    join(project, "main.cjs"),
    `const { ThreadPoolExecutor, threaded } = require("@taskloom/offload");
     const base = require("node:url").pathToFileURL(__filename);
     (async () => { const pool = new ThreadPoolExecutor({ maxThreads: 2 }); ${MAIN} })();`,
  );
}, 60_000);

afterAll(() => rm(project, { recursive: true, force: true }));

async function start(file: string): Promise<string> {
  const { stdout, stderr } = await execute(process.execPath, [join(project, file)], { cwd: project });
  expect(stderr).toBe("");
  return stdout;
}

describe("as it is published", () => {
  it("runs as an ES module, with nothing of the sources there", async () => {
    expect(await start("main.mjs")).toBe(EXPECTED);
  });

  it("runs by require()", async () => {
    expect(await start("main.cjs")).toBe(EXPECTED);
  });

  it.each(["esm", "cjs"] as const)(
    "runs bundled by esbuild (%s) with external: ['@taskloom/offload']",
    async (format) => {
      const outfile = join(project, format === "esm" ? "bundle.mjs" : "bundle.cjs");
      await build({
        entryPoints: [join(project, format === "esm" ? "main.mjs" : "main.cjs")],
        outfile,
        bundle: true,
        platform: "node",
        format,
        external: ["@taskloom/offload"],
        logLevel: "silent",
      });
      expect(await start(format === "esm" ? "bundle.mjs" : "bundle.cjs")).toBe(EXPECTED);
    },
  );

  it.each(["esm", "cjs"] as const)(
    "has a default loop in a bundle (%s) that names no EventLoop",
    async (format) => {
      const entry = join(project, "sleeper.mjs");
      const outfile = join(project, format === "esm" ? "sleeper.bundle.mjs" : "sleeper.bundle.cjs");
      await writeFile(
        entry,
        `import { Future, sleep } from "@taskloom/loop";
       const future = new Future();
       sleep(1, "slept").then((value) => future.setResult(value));
       future.then((value) => console.log(value));`,
      );
      await build({
        entryPoints: [entry],
        outfile,
        bundle: true,
        platform: "node",
        format,
        logLevel: "silent",
      });
      expect(await start(outfile.slice(project.length + 1))).toBe("slept\n");
    },
  );
});
