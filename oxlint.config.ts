import { defineConfig } from "oxlint";
import { layerRules } from "./layers.config.ts";

export default defineConfig({
  plugins: ["typescript", "unicorn", "oxc", "import", "promise", "node", "vitest"],
  categories: {
    correctness: "error",
    suspicious: "error",
    perf: "error",
  },
  env: {
    node: true,
    es2024: true,
  },
  ignorePatterns: ["**/dist/**", "**/node_modules/**", "**/coverage/**"],
  rules: {
    "typescript/no-explicit-any": "error",
    "import/no-named-as-default-member": "off",
    "vitest/no-standalone-expect": "off",
    "vitest/valid-expect": [
      "error",
      {
        maxArgs: 2,
      },
    ],
    "unicorn/consistent-function-scoping": "off",
    "typescript/no-floating-promises": "error",
    "typescript/consistent-type-imports": [
      "error",
      {
        disallowTypeAnnotations: false,
      },
    ],
    "typescript/no-unsafe-type-assertion": "off",
    "typescript/no-unnecessary-type-arguments": "off",
    "promise/valid-params": "off",
    "no-await-in-loop": "off",
    "promise/always-return": "off",
    "require-yield": "off",
    "typescript/consistent-return": "off",
    "unicorn/require-post-message-target-origin": "off",
    "vitest/no-conditional-expect": "off",
    "import/consistent-type-specifier-style": ["error", "prefer-top-level"],
    "typescript/non-nullable-type-assertion-style": "error",
  },
  overrides: [
    {
      files: ["packages/loop/**", "bench/**", "test/conformance/**"],
      rules: {
        "no-underscore-dangle": "off",
        "unicorn/no-thenable": "off",
        "typescript/await-thenable": "off",
        "typescript/require-array-sort-compare": "off",
      },
    },
    {
      files: ["packages/offload/**", "bench/offload/**"],
      rules: {
        "typescript/unbound-method": "off",
      },
    },
    {
      // The test of a new project runs under `node --test`, which awaits its tests itself.
      files: ["apps/worker/template/test/**"],
      rules: {
        "typescript/no-floating-promises": "off",
      },
    },
    {
      files: ["packages/offload/test/**"],
      rules: {
        "unicorn/consistent-function-scoping": "off",
      },
    },
    ...layerRules,
  ],
});
