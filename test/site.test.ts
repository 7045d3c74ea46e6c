/**
 * The configuration of the documentation site. The site itself is built by `pnpm docs:build`, which has its own tools and
 * fails on dead links.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const site = join(root, "docs/site");

interface Pages {
  readonly PAGES: ReadonlyMap<string, string>;
  readonly PACKAGES: Readonly<Record<string, { readonly folder: string }>>;
  readonly slugify: (heading: string) => string;
  readonly siteLink: (file: string, target: string) => string;
}

// Its address is computed, because the files of the site are JavaScript without types.
const { PAGES, PACKAGES, siteLink, slugify } = (await import(
  pathToFileURL(join(site, "pages.mjs")).href
)) as Pages;

test("each guide is a page, and is in the menu", () => {
  const config = readFileSync(join(site, "vitepress.config.mjs"), "utf8");
  const guides = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  expect(guides.filter((name) => PAGES.get(`docs/${name}`) !== name)).toEqual([]);
  expect(guides.filter((name) => !config.includes(`"${name.replace(".md", "")}"`))).toEqual([]);
});

test("each package has its page", () => {
  const folders = ["packages", "apps"].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
  );
  expect(
    Object.values(PACKAGES)
      .map(({ folder }) => folder)
      .toSorted(),
  ).toEqual(folders.toSorted());
});

test("links lead to pages of the site, and else to the repository", () => {
  const repository = "https://github.com/taskloom/taskloom/blob/main";
  expect(siteLink("docs/deploy.md", "queue.md#engines")).toBe("/queue.md#engines");
  expect(siteLink("README.md", "packages/loop")).toBe("/packages/loop.md");
  expect(siteLink("packages/queue/README.md", `${repository}/docs/queue.md`)).toBe("/queue.md");
  expect(siteLink("docs/guarantees.md", "../test/faults")).toBe(`${repository}/test/faults`);
  expect(siteLink("docs/loop.md", "#tasks")).toBe("#tasks");
  expect(siteLink("docs/loop.md", "https://nodejs.org")).toBe("https://nodejs.org");
});

test("anchors are GitHub's, since the texts are read there, too", () => {
  expect(slugify("5. Access from elsewhere")).toBe("5-access-from-elsewhere");
  expect(slugify("BullMQ's commands, and the driver")).toBe("bullmqs-commands-and-the-driver");
});

test("the site loads nothing from another host", () => {
  const config = readFileSync(join(site, "vitepress.config.mjs"), "utf8");
  expect(config).toContain('provider: "local"');
  expect([...config.matchAll(/https?:\/\/[^\s"`]+/g)].map(([address]) => address)).toEqual([]);
});
