import { defineConfig } from "@taskloom/worker";

// TASKLOOM_ENGINE=redis://HOST:6379 goes before the engine of this file.
export default defineConfig({
  engine: "embedded:.taskloom",
  modules: ["./src/tasks.ts", "./src/workflows.ts"],
});
