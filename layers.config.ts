import { dirname, relative } from "node:path/posix";
import type { OxlintOverride } from "oxlint";

/**
 * The layers of one package, from the ground up. A layer is a folder, or a file beside the folders.
 * It may import the layers of the lines above its own line; the layers of one line do not import
 * each other. Each folder that has files of its own is listed, subfolders too.
 */
export interface LayeredPackage {
  readonly sources: string;
  readonly layers: readonly (readonly string[])[];
  /** The packages of this repository that the sources may import. */
  readonly uses: readonly string[];
  /** The files of the one circle of imports that docs/architecture.md justifies. */
  readonly circle?: readonly string[];
}

/** docs/architecture.md describes the layers. */
export const layeredPackages: readonly LayeredPackage[] = [
  {
    sources: "packages/loop/src",
    layers: [
      [
        "errors.ts",
        "describe.ts",
        "own-frames.ts",
        "stop-signals.ts",
        "timer.ts",
        "lifecycle.ts",
        "did-you-mean.ts",
      ],
      ["number-option.ts", "outside-progress.ts", "prefetch.ts"],
      ["error-classes.ts", "kernel"],
      ["task"],
      ["sync", "diagnosis"],
      ["waiting"],
      ["io"],
      ["event-loop"],
      ["index.ts", "durable.ts", "testing"],
      ["testing.ts"],
    ],
    uses: [],
    circle: ["io/protocol.ts", "io/transport.ts", "io/datagram-transport.ts", "io/subprocess-transport.ts"],
  },
  {
    sources: "packages/bullmq-sqlite/src",
    layers: [
      ["schema"],
      ["store"],
      ["operations"],
      ["thread"],
      ["database"],
      ["backend-options.ts", "backend"],
      ["backend.ts"],
      ["create-backend.ts"],
      ["index.ts"],
    ],
    uses: [],
  },
  {
    sources: "packages/queue/src",
    layers: [
      ["as-error.ts", "error-code.ts", "errors.ts", "message-of.ts", "value-or.ts"],
      ["check-option-names.ts", "cron", "milliseconds.ts"],
      ["wire"],
      ["contract"],
      ["definition", "bullmq", "locks"],
      ["consumer"],
      ["engines/limits", "engines/redis/driver", "engines/sql"],
      ["engines/memory"],
      ["engines/redis/journal", "engines/redis/limits", "engines/postgres/driver"],
      ["engines/redis", "engines/postgres/journal", "engines/sqlite/journal", "engines/sqlite/limits"],
      ["engines/postgres/limits"],
      ["engines/postgres", "engines/sqlite", "engines/sharded"],
      ["engines"],
      ["operate"],
      ["client", "worker"],
      ["index.ts", "operating.ts", "lane.ts", "wire.ts"],
    ],
    uses: ["@taskloom/loop", "@taskloom/offload", "@taskloom/bullmq-sqlite"],
  },
  {
    sources: "packages/workflow/src",
    layers: [
      ["errors.ts", "journal"],
      ["definition"],
      ["run"],
      ["authoring", "lane"],
      ["define-workflow.ts"],
      ["operate"],
      ["client"],
      ["index.ts", "running.ts", "operating.ts", "testing"],
      ["testing.ts"],
    ],
    uses: ["@taskloom/loop", "@taskloom/queue"],
  },
  {
    sources: "apps/worker/src",
    layers: [
      ["errors", "version.ts"],
      ["terminal"],
      ["config"],
      ["workers"],
      ["operations"],
      ["service/http"],
      ["service/http/routes"],
      ["service"],
      ["demo"],
      ["cli"],
      ["index.ts", "bin.ts"],
    ],
    uses: ["@taskloom/loop", "@taskloom/queue", "@taskloom/workflow"],
  },
  {
    sources: "packages/offload/src",
    layers: [
      ["errors.ts", "check-options.ts"],
      ["boundary"],
      ["thread", "pool"],
      ["calls"],
      ["executor"],
      ["index.ts"],
    ],
    uses: ["@taskloom/loop"],
  },
];

const workspacePackages = ["loop", "offload", "queue", "workflow", "bullmq-sqlite", "worker"].map(
  (name) => `@taskloom/${name}`,
);

const isFile = (layer: string): boolean => layer.endsWith(".ts");

/** Returns the pattern of the specifiers by which a file of one layer names the files of another layer. */
export function specifier(from: string, to: string): string {
  const folder = isFile(from) ? dirname(from) : from;
  const path = relative(folder, isFile(to) ? to : `${to}/*`);
  return path.startsWith("../") ? path : `./${path}`;
}

function overrideOf(pkg: LayeredPackage, layer: string, line: number): OxlintOverride {
  const notBelow = pkg.layers
    .slice(line)
    .flat()
    .filter((other) => other !== layer);
  const forbiddenPackages = workspacePackages.filter((name) => !pkg.uses.includes(name));
  return {
    files: [`${pkg.sources}/${isFile(layer) ? layer : `${layer}/*.ts`}`],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              group: notBelow.map((other) => specifier(layer, other)),
              message: `layers.config.ts puts ${layer} below this layer, or on the same line. Move the shared part down, or pass it in as an argument.`,
            },
            {
              group: forbiddenPackages.flatMap((name) => [name, `${name}/*`]),
              message: `layers.config.ts lists the packages that ${pkg.sources} may import.`,
            },
          ].filter(({ group }) => group.length > 0),
        },
      ],
    },
  };
}

function circleOf(pkg: LayeredPackage): OxlintOverride[] {
  const noCircles: OxlintOverride = {
    files: [`${pkg.sources}/**/*.ts`],
    rules: { "import/no-cycle": ["error", { ignoreTypes: false }] },
  };
  if (pkg.circle === undefined) return [noCircles];
  const files = pkg.circle.map((file) => `${pkg.sources}/${file}`);
  return [noCircles, { files, rules: { "import/no-cycle": "off" } }];
}

/** The rules of the linter that hold the sources to the layers: arrows point down, and there are no circles. */
export const layerRules: OxlintOverride[] = layeredPackages.flatMap((pkg) =>
  pkg.layers
    .flatMap((line, index) => line.map((layer) => overrideOf(pkg, layer, index)))
    .concat(circleOf(pkg)),
);
