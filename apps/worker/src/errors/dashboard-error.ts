import { TaskloomError } from "@taskloom/loop";

/**
 * An error of a dashboard, by its code:
 *
 * - `DASHBOARD_OPTIONS`: it cannot be made with its options.
 * - `DASHBOARD_CLOSED`: it is used after its end.
 * - `DASHBOARD_FAILED`: it could not answer a request. Only `onError` receives it. Its stack ends with that of the failure.
 */
export class DashboardError extends TaskloomError {
  constructor(code: "DASHBOARD_OPTIONS" | "DASHBOARD_CLOSED" | "DASHBOARD_FAILED", message: string) {
    super(code, message);
    this.name = "DashboardError";
  }
}
