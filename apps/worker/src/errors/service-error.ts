import { TaskloomError } from "@taskloom/loop";

/** A request that the service refuses: `status` for HTTP, `code` for programs, and a message with the next step. */
export class ServiceError extends TaskloomError {
  readonly status: number;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = "ServiceError";
    this.status = status;
  }
}
