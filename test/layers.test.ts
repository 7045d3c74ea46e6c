import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { layeredPackages } from "../layers.config.ts";
import type { LayeredPackage } from "../layers.config.ts";

const root = join(import.meta.dirname, "..");
const place = mkdtempSync(join(tmpdir(), "taskloom-layers-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** Returns the layer that a source file belongs to: its folder, or its own name beside the folders. */
function layerOf(file: string): string {
  const folder = dirname(file);
  return folder === "." ? file : folder;
}

const fileOf = (layer: string, name: string): string =>
  layer.endsWith(".ts") ? layer : `${layer}/${name}.ts`;

function specifierOf(from: string, to: string): string {
  const path = relative(dirname(from), to);
  return path.startsWith("../") ? path : `./${path}`;
}

/** Runs the repository's linter over a folder, and returns the imports that its layers forbid, as `FILE:LINE`. */
function forbiddenIn(folder: string): string[] {
  const oxlint = join(root, "node_modules/oxlint/bin/oxlint");
  writeFileSync(
    join(folder, "oxlint.config.ts"),
    `export { default } from ${JSON.stringify(pathToFileURL(join(root, "oxlint.config.ts")).href)};\n`,
  );
  let output = "";
  try {
    output = execFileSync(process.execPath, [oxlint, "-f", "json"], {
      cwd: folder,
      encoding: "utf8",
      stdio: "pipe",
      maxBuffer: 1 << 28,
    });
  } catch (error) {
    output = (error as { stdout: string }).stdout;
  }
  const { diagnostics } = JSON.parse(output) as {
    diagnostics: { code: string; filename: string; labels: { span: { line: number } }[] }[];
  };
  return diagnostics
    .filter(({ code }) => code === "eslint(no-restricted-imports)")
    .map(({ filename, labels }) => `${filename}:${labels[0]?.span.line}`);
}

/** Writes one file a layer, which imports each other layer on a line of its own; returns the lines that point up or aside. */
function writeArrows(pkg: LayeredPackage): string[] {
  const layers = pkg.layers.flatMap((line, height) => line.map((layer) => ({ layer, height })));
  const upward: string[] = [];
  for (const from of layers) {
    const file = fileOf(from.layer, "from");
    const imports = layers
      .filter((to) => to.layer !== from.layer)
      .map((to, index) => {
        if (to.height >= from.height) upward.push(`${pkg.sources}/${file}:${index + 1}`);
        return `import type { Part${index} } from ${JSON.stringify(specifierOf(file, fileOf(to.layer, "to")))};`;
      });
    mkdirSync(join(place, pkg.sources, dirname(file)), { recursive: true });
    writeFileSync(join(place, pkg.sources, file), `${imports.join("\n")}\n`);
  }
  return upward;
}

describe("the layers of layers.config.ts", () => {
  test("the linter reports each import of a higher layer or of the same line, and no import of a lower layer", () => {
    const upward = layeredPackages.flatMap(writeArrows);
    expect(upward.length).toBeGreaterThan(0);
    expect(forbiddenIn(place).toSorted()).toEqual(upward.toSorted());
  });

  test.each(layeredPackages)(
    "$sources: each folder and each file beside the folders has its layer",
    ({ sources, layers }) => {
      const files = readdirSync(join(root, sources), { recursive: true, encoding: "utf8" }).filter((file) =>
        file.endsWith(".ts"),
      );
      expect([...new Set(files.map(layerOf))].toSorted()).toEqual(layers.flat().toSorted());
    },
  );
});
