import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

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
    include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "test/**/*.test.ts"],
    reporters: ["default", "./test/support/closing-line-reporter.ts"],
    // Most files wait for servers and timers. Vitest's own choice is one less than there are cores, so one of two. With four,
    // fault runs outlasted their locks, and PostgreSQL, which starts a process for each connection, refused connections in time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // No bound on speed, only on hanging: a loaded machine with two cores must pass too.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
