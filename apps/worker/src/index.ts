export { defineConfig } from "./config/config-file.ts";
export { DashboardError } from "./errors/dashboard-error.ts";
export { Dashboard, dashboard } from "./service/dashboard.ts";
export { version } from "./version.ts";

export type { TaskloomConfig, WorkerHooks } from "./config/config-file.ts";
export type {
  DashboardAccess,
  DashboardOptions,
  DashboardRequest,
  DashboardScope,
} from "./service/dashboard.ts";
export type { Settings } from "./config/settings.ts";
