import { TaskloomQueueError } from "../../../errors.ts";

/** The installed BullMQ stores jobs in another way than the driver knows. */
export class DriverLayoutError extends TaskloomQueueError {
  constructor(message: string) {
    super("DRIVER_LAYOUT", message);
  }
}
