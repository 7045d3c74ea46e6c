// Builds the site into dist/html: `pnpm docs:build`, in the root of the repository. dist/source has the texts that
// VitePress reads: the pages of the repository with rewritten links, and the API pages that TypeDoc makes of the doc
// comments.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Application } from "typedoc";
import { build } from "vitepress";
import { PACKAGES, PAGES, pageText, REPOSITORY, root } from "./pages.mjs";

const source = join(import.meta.dirname, "dist/source");
const html = join(import.meta.dirname, "dist/html");

rmSync(join(import.meta.dirname, "dist"), { recursive: true, force: true });
for (const [file, page] of PAGES) write(page, pageText(file));
write(".vitepress/config.mjs", `export { default } from "../../../vitepress.config.mjs";\n`);
await writeApi();
await build(source);
checkSite();
console.log(`The site is in ${html}.`);

function write(path, text) {
  const file = join(source, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** Writes the API pages. */
async function writeApi() {
  const app = await Application.bootstrapWithPlugins({
    plugin: ["typedoc-plugin-markdown"],
    outputs: [{ name: "markdown", path: join(source, "api") }],
    entryPoints: Object.values(PACKAGES).flatMap(({ folder, entryPoints }) =>
      entryPoints.map((entry) => join(root, folder, entry)),
    ),
    tsconfig: join(import.meta.dirname, "tsconfig.json"),
    // The sources have been checked by `pnpm run typecheck`, with the TypeScript of the repository.
    skipErrorChecking: true,
    readme: "none",
    router: "member",
    entryFileName: "index",
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    hideBreadcrumbs: true,
    hidePageHeader: true,
    disableGit: true,
    sourceLinkTemplate: `${REPOSITORY}/blob/main/{path}#L{line}`,
    basePath: root,
    displayBasePath: root,
    useCodeBlocks: true,
    sanitizeComments: true,
    logLevel: "Error",
    validation: false,
  });
  const project = await app.convert();
  if (project === undefined)
    throw new Error("TypeDoc could not read the sources; its lines above have the reasons");
  for (const module of project.children) module.name = moduleName(module.name);
  project.name = "API";
  await app.generateOutputs(project);
}

/** Returns the specifier of an entry point, such as `@taskloom/loop/testing`. */
function moduleName(path) {
  const [, folder, entry] = /([^/]+)\/src(?:\/(?:index|([^/]+)))?$/.exec(path);
  return entry === undefined ? `@taskloom/${folder}` : `@taskloom/${folder}/${entry}`;
}

/** Throws if a page loads something from another host, or if a link names an anchor that its page does not have. */
function checkSite() {
  const files = readdirSync(html, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".html"),
  );
  const texts = new Map(files.map((name) => [`/${name}`, readFileSync(join(html, name), "utf8")]));
  const problems = [];
  for (const [page, text] of texts) {
    for (const [loaded] of text.matchAll(
      /<(?:script|img|iframe|link rel="(?:stylesheet|preload|icon)")[^>]*(?:src|href)="(?:https?:)?\/\/[^>]*>/g,
    )) {
      problems.push(`${page} loads ${loaded}`);
    }
    const ids = (name) =>
      new Set([...(texts.get(name) ?? "").matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    for (const [, path, hash] of text.matchAll(/ href="(\/[^"#]*)?#([^"]+)"/g)) {
      const target =
        path === undefined
          ? page
          : [`${path}.html`, `${path}index.html`, path].find((name) => texts.has(name));
      if (target === undefined || !ids(target).has(decodeURIComponent(hash)))
        problems.push(`${page}: ${path ?? ""}#${hash}`);
    }
  }
  if (problems.length > 0) throw new Error(`The site has dead links:\n${[...new Set(problems)].join("\n")}`);
}
