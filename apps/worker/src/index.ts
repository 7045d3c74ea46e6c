export { defineConfig } from "./config/config-file.ts";
export { version } from "./version.ts";

export type { TaskloomConfig } from "./config/config-file.ts";
export type { Settings } from "./config/settings.ts";
