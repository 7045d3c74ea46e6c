/** The packages as a registry shows them: each names its repository, and its README needs no file outside of the package. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const REPOSITORY = "https://github.com/taskloom/taskloom";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly keywords: readonly string[];
  readonly homepage: string;
  readonly bugs: { readonly url: string };
  readonly repository: { readonly url: string; readonly directory: string };
  readonly engines: { readonly node: string };
}

const read = (file: string): string => readFileSync(join(root, file), "utf8");
const folders = ["packages", "apps"].flatMap((parent) =>
  readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
);
const manifests = new Map(
  folders.map((folder) => [folder, JSON.parse(read(`${folder}/package.json`)) as Manifest]),
);
/** The version of Node from which on a package works. */
const nodeOf = (folder: string): string => /\d+\.\d+/.exec(manifests.get(folder)!.engines.node)![0];

describe.each(folders)("%s", (folder) => {
  const manifest = manifests.get(folder)!;

  test("names its repository, its page, its issues and its subjects", () => {
    expect(manifest.repository).toMatchObject({ url: `git+${REPOSITORY}.git`, directory: folder });
    expect(manifest.homepage).toBe(`${REPOSITORY}/tree/main/${folder}#readme`);
    expect(manifest.bugs.url).toBe(`${REPOSITORY}/issues`);
    expect(manifest.keywords.length).toBeGreaterThan(4);
  });

  test("has a README without links to other files", () => {
    const links = [...read(`${folder}/README.md`).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
    expect(links.filter((target) => !/^(?:https?:|#)/.test(target))).toEqual([]);
  });

  test("has a README that names the version of Node in its package.json", () => {
    expect(read(`${folder}/README.md`)).toContain(`Node ${nodeOf(folder)} or later`);
  });
});

test("all packages have one version, which the sources repeat", () => {
  const versions = new Set([...manifests.values()].map(({ version }) => version));
  expect(versions.size).toBe(1);
  for (const file of ["packages/offload/src/index.ts", "apps/worker/src/version.ts"]) {
    expect(/version: string = "(.+)"/.exec(read(file))![1], file).toBe([...versions][0]);
  }
});

test("pnpm version releases all packages together", () => {
  for (const { name } of manifests.values()) expect(read("pnpm-workspace.yaml")).toContain(`"${name}"`);
});

test("docs/support.md and the command line name the versions of Node in the package.json files", () => {
  const rows = read("docs/support.md").split("\n");
  const versionOf = (name: string): string =>
    /\| (\d+\.\d+)/.exec(rows.find((row) => row.startsWith("|") && row.includes(name))!)![1]!;
  for (const folder of folders) expect(versionOf(folder.split("/")[1]!), folder).toBe(nodeOf(folder));
  const [major, minor] = nodeOf("apps/worker").split(".");
  expect(read("apps/worker/bin/taskloom.js")).toContain(`major === ${major} && minor < ${minor}`);
});

test.each(["README.md", ...folders.map((folder) => `${folder}/README.md`)])(
  "the programs of %s are no syntax of Node 24",
  (page) => {
    const blocks = [...read(page).matchAll(/^```ts[^\n]*\n([^]*?)^```/gm)].map(([, code]) => code!);
    expect(blocks.filter((code) => /^\s*(?:await )?using /m.test(code))).toEqual([]);
  },
);
