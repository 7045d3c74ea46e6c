import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";

const timed = ["test/faults/**/*.test.ts", "test/service/**/*.test.ts", "test/main-job/**/*.test.ts"];

export default defineConfig({
  // Tests run on the packages' sources: no build stands between an edit and its test.
  // Setting the conditions replaces vitest's defaults; of those, "module" names builds for bundlers that Node cannot load.
  ssr: { resolve: { conditions: ["@taskloom/source", "node"] } },
  resolve: {
    alias: [
      {
        find: /^\.\/load-engine\.ts$/,
        replacement: fileURLToPath(new URL("test/support/load-engine.ts", import.meta.url)),
      },
    ],
  },
  test: {
    // Threads and processes that tests start load the sources too, and Node strips their types anew in each: with this it
    // does so once, which halves a thread's start.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL("node_modules/.cache/node", import.meta.url)) },
    reporters: ["default", "./test/support/closing-line-reporter.ts"],
    // No bound on speed, only on hanging: a loaded machine with two cores must pass too.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Most files wait for servers, timers and other processes most of the time, so there are more workers than cores. Files that
    // kill processes and measure the time until others notice would outlast their locks beside so many.
    projects: [
      {
        extends: true,
        test: {
          name: "suites",
          include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...timed],
          maxWorkers: 2 * Math.max(2, availableParallelism() - 1),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "timed",
          include: timed,
          maxWorkers: Math.max(2, availableParallelism() - 1),
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
