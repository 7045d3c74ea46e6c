import { TaskloomError } from "@taskloom/loop";

/**
 * What the service answers when it cannot do what was asked: `code` for programs, `status` for HTTP, and a message that
 * says what to do next.
 */
export class ServiceError extends TaskloomError {
  readonly status: number;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = "ServiceError";
    this.status = status;
  }
}
