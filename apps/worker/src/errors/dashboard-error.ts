import { TaskloomError } from "@taskloom/loop";

/** A dashboard that cannot be made with its options, with the code `DASHBOARD_OPTIONS`, or is used after its end. */
export class DashboardError extends TaskloomError {
  constructor(code: "DASHBOARD_OPTIONS" | "DASHBOARD_CLOSED", message: string) {
    super(code, message);
    this.name = "DashboardError";
  }
}
