// The configuration of VitePress. Nothing is loaded from another host: fonts, search and icons are part of the site.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitepress";
import { PACKAGES, PAGES, REPOSITORY, root, slugify } from "./pages.mjs";

/** Returns the title of a page: its first heading. */
function title(file) {
  return /^# (.+)$/m.exec(readFileSync(join(root, file), "utf8"))[1].replaceAll("`", "");
}

const item = (file, text = title(file)) => ({
  text,
  link: `/${PAGES.get(file).replace(/(?:index)?\.md$/, "")}`,
});
const recipes = [...PAGES.keys()].filter((file) => file.startsWith("docs/recipes/"));
const decisions = [...PAGES.keys()].filter((file) => file.startsWith("docs/decisions/"));
const guides = (...names) => names.map((name) => item(`docs/${name}.md`));

const sidebar = [
  { text: "Start", items: [item("README.md", "Overview"), ...guides("deploy"), item("examples/README.md")] },
  {
    text: "Guides",
    items: guides(
      "loop",
      "offload",
      "offload-interruption",
      "queue",
      "workflows",
      "service",
      "scaling",
      "guarantees",
      "embedded-engine",
      "io",
      "asyncio-for-node",
    ),
  },
  { text: "Recipes", items: recipes.map((file) => item(file)) },
  {
    text: "Packages",
    items: Object.entries(PACKAGES).map(([name, { folder }]) => item(`${folder}/README.md`, name)),
  },
  { text: "API", items: [{ text: "All packages", link: "/api/" }] },
  {
    text: "Project",
    collapsed: true,
    items: [
      ...guides("support", "architecture", "glossary", "conformance"),
      ...["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map((file) => item(file)),
      { text: "Decisions", collapsed: true, items: decisions.map((file) => item(file)) },
    ],
  },
];

export default defineConfig({
  title: "Taskloom",
  description: "asyncio for Node.js that does not stop at one thread",
  cleanUrls: true,
  outDir: join(import.meta.dirname, "dist/html"),
  cacheDir: join(import.meta.dirname, "dist/cache"),
  // Pages name addresses of this machine, such as the live page. Every other dead link fails the build.
  ignoreDeadLinks: "localhostLinks",
  markdown: { anchor: { slugify }, toc: { slugify } },
  themeConfig: {
    search: { provider: "local" },
    sidebar,
    nav: [
      { text: "Guides", link: "/loop", activeMatch: "^/(loop|offload|queue|workflows|service)" },
      { text: "API", link: "/api/" },
      { text: "Changelog", link: "/changelog" },
    ],
    outline: [2, 3],
    socialLinks: [{ icon: "github", link: REPOSITORY }],
  },
});
