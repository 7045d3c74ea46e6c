// The pages of the site, and the links between them. The texts are those of the repository: docs/, the READMEs, the
// changelog. Their links are rewritten, because a page of the site has another address than its file.
import { readFileSync, readdirSync } from "node:fs";
import { join, posix } from "node:path";

export const root = join(import.meta.dirname, "../..");
export const REPOSITORY = "https://github.com/taskloom/taskloom";

/** The folders of the packages, and the entry points that have an API page. */
export const PACKAGES = {
  loop: { folder: "packages/loop", entryPoints: ["src/index.ts", "src/testing.ts"] },
  offload: { folder: "packages/offload", entryPoints: ["src/index.ts"] },
  queue: { folder: "packages/queue", entryPoints: ["src/index.ts"] },
  workflow: { folder: "packages/workflow", entryPoints: ["src/index.ts", "src/testing.ts"] },
  worker: { folder: "apps/worker", entryPoints: ["src/index.ts"] },
  "bullmq-sqlite": { folder: "packages/bullmq-sqlite", entryPoints: ["src/index.ts"] },
};

const markdownIn = (folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `${folder}/${name}`);

/** The files of the pages, each with its path on the site. */
export const PAGES = new Map([
  ["README.md", "index.md"],
  ...["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map((file) => [file, file.toLowerCase()]),
  ["examples/README.md", "examples.md"],
  ...["docs", "docs/recipes", "docs/decisions"]
    .flatMap(markdownIn)
    .map((file) => [file, file.slice("docs/".length)]),
  ...Object.entries(PACKAGES).map(([name, { folder }]) => [`${folder}/README.md`, `packages/${name}.md`]),
]);

/** Returns the anchor of a heading: GitHub's, which the links of the repository use. */
export function slugify(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\w\- ]/gu, "")
    .replaceAll(" ", "-");
}

/** Returns the text of a page for the site. */
export function pageText(file) {
  const text = readFileSync(join(root, file), "utf8");
  return text.replaceAll(/\]\(([^)\s]+)\)/g, (_, target) => `](${siteLink(file, target)})`);
}

/** Returns a link of a file as the site has it: to a page, or to the repository. */
export function siteLink(file, target) {
  const inRepository = target.replace(new RegExp(`^${REPOSITORY}/(?:blob|tree)/main/`), "/");
  if (/^\w+:|^#/.test(inRepository)) return target;
  const [path, heading] = inRepository.split("#");
  const linked = path.startsWith("/") ? path.slice(1) : posix.join(posix.dirname(file), path);
  const hash = heading === undefined ? "" : `#${heading}`;
  const page = PAGES.get(linked) ?? PAGES.get(posix.join(linked, "README.md"));
  if (page !== undefined) return `/${page}${hash}`;
  return `${REPOSITORY}/blob/main/${linked}${hash}`;
}
