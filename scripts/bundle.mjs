// Writes the JavaScript of a package into its dist: `node ../../scripts/bundle.mjs` in the folder of the package, after
// `tsc -b` has written the declarations. A module costs an installation a block of the disk and an import a read, so the
// modules of a folder share a file where a package has many. docs/decisions/0019 has the reasons.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { rolldown } from "rolldown";
import { dts } from "rolldown-plugin-dts";

/** The modules that are loaded by their address: as threads, on demand, or because their URL is stored. */
const ADDRESSED = {
  "@taskloom/offload": ["thread/entry", "thread/object-host"],
  "@taskloom/bullmq-sqlite": ["thread/entry"],
  "@taskloom/queue": [
    "engines/memory/open",
    "engines/postgres/open",
    "engines/postgres/renewal-connection",
    "engines/redis/open",
    "engines/redis/renewal-connection",
    "engines/sharded/open",
    "engines/sharded/renewal-connection",
    "engines/sqlite/open",
    "engines/sqlite/journal/thread-functions",
    "engines/sqlite/limits/thread-limits",
    "locks/lock-renewal-thread",
  ],
  "@taskloom/worker": ["bin", "demo/tasks"],
};
/** The packages that load single modules on demand. In the others, the modules of a folder become one file. */
const ONE_BY_ONE = ["@taskloom/worker"];
/** Folders and modules that keep their files: light ones beside heavy ones, and one that looks at its own address. */
const ALONE = new Set(["boundary", "bullmq/deferred-end", "engines/sqlite/embedded-error", "own-frames"]);

/** The modules of the renewing thread, which starts beside the first job and loads nothing else. */
const RENEWING = {
  "engines/redis/renewing": [
    "batching-redis",
    "redis-client",
    "renew-locks-script",
    "repeating-scripts",
    "silent-start",
    "watched-cluster",
    "writable-redis",
  ].map((name) => `engines/redis/${name}`),
  "engines/postgres/renewing": ["extend-locks", "schema", "session"].map(
    (name) => `engines/postgres/${name}`,
  ),
};

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const sources = join(process.cwd(), "src");
const exported = Object.values(manifest.exports).map((each) => each["@taskloom/source"]);
const entries = [
  ...exported.map((file) => relative("src", file).replace(/\.ts$/, "")),
  ...(ADDRESSED[manifest.name] ?? []),
];

/** Returns the name of the file that has a module: that of its folder, or its own. */
function fileOf(id) {
  const path = relative(sources, id).replace(/\.ts$/, "").replaceAll(sep, "/");
  if (path.startsWith("..") || entries.includes(path)) return null;
  for (const [file, modules] of Object.entries(RENEWING)) if (modules.includes(path)) return file;
  const folder = dirname(path);
  if (ALONE.has(path) || ALONE.has(folder)) return path;
  return folder === "." ? "shared" : `${folder}/${basename(folder)}`;
}

/** Whether the package ships the bundled declarations: those of `loop` add members to modules, by their paths. */
const isBundled = manifest.name !== "@taskloom/loop";
const external = (id, _importer, isResolved) => !isResolved && !/^\.{0,2}\//.test(id);

rmSync("dist/types", { recursive: true, force: true });
for (const file of readdirSync("dist", { recursive: true }))
  if (/\.js$|\.d\.ts\.map$/.test(file) && !file.startsWith(".api")) rmSync(join("dist", file));
const build = await rolldown({
  input: Object.fromEntries(entries.map((entry) => [entry, join(sources, `${entry}.ts`)])),
  platform: "node",
  preserveEntrySignatures: "allow-extension",
  external,
  // Modules register error classes and the like when they are loaded.
  treeshake: false,
});
await build.write({
  dir: "dist",
  format: "es",
  comments: false,
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  ...(ONE_BY_ONE.includes(manifest.name)
    ? { preserveModules: true, preserveModulesRoot: sources }
    : {
        codeSplitting: {
          groups: [{ name: fileOf, debugName: "folder" }],
          includeDependenciesRecursively: false,
        },
      }),
});
await build.close();

/** Writes the declarations that the entry points need into `dist/types`: a file for each of them, and one that they share. */
async function bundleDeclarations() {
  const declarations = await rolldown({
    input: Object.fromEntries(
      exported.map((file) => {
        const entry = relative("src", file).replace(/\.ts$/, "");
        return [entry, join(process.cwd(), "dist", `${entry}.d.ts`)];
      }),
    ),
    external,
    plugins: [dts({ dtsOnly: true, generator: "oxc" })],
  });
  await declarations.write({
    dir: "dist/types",
    format: "es",
    entryFileNames: "[name].ts",
    chunkFileNames: "[name].d.ts",
    codeSplitting: { groups: [{ name: "shared", minShareCount: 2 }] },
  });
  await declarations.close();
}

/** Returns the declarations that the entry points need. */
function neededDeclarations() {
  const needed = new Set();
  const open = exported.map((file) => join("dist", relative("src", file).replace(/\.ts$/, ".d.ts")));
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (needed.has(file) || !existsSync(file)) continue; // An example in a comment can name any file.
    needed.add(file);
    for (const [, specifier] of readFileSync(file, "utf8").matchAll(/["'](\.[^"'\n]+)\.(?:ts|js)["']/g))
      open.push(join(dirname(file), `${specifier}.d.ts`));
  }
  return needed;
}

if (isBundled) await bundleDeclarations();
const needed = isBundled ? new Set() : neededDeclarations();
const unneeded = readdirSync("dist", { recursive: true, encoding: "utf8" }).filter(
  (file) =>
    file.endsWith(".d.ts") && !/^(?:\.api|types)(?:\/|\\)/.test(file) && !needed.has(join("dist", file)),
);
// The compiler keeps them for its next run, so they stay in dist and are left out of the package.
const ignored = [".api", ".tsbuildinfo", ...unneeded];
writeFileSync(join("dist", ".npmignore"), ignored.map((file) => `/${file}\n`).join(""));
