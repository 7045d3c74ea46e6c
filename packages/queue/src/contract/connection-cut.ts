import { TaskloomQueueError } from "../errors.ts";

/** The error of a command whose connection was cut before the answer. The engine may have executed the command or not. */
export class ConnectionCutError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("CONNECTION_CUT", message, options);
  }
}
