import { TaskloomQueueError } from "../errors.ts";

/** A command was on its way when its connection was cut: the engine may have executed it or not. */
export class ConnectionCutError extends TaskloomQueueError {
  constructor(message: string, options?: ErrorOptions) {
    super("CONNECTION_CUT", message, options);
  }
}
