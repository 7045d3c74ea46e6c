import { TaskloomQueueError } from "../errors.ts";

/** Codes of {@link WireError}; they do not change between releases. */
export type WireErrorCode =
  /** A value holds something that cannot be sent to another process. */
  | "UNSENDABLE"
  /** A value is larger or deeper than may be sent. */
  | "TOO_LARGE"
  /** Received data is not the encoding of a value. */
  | "MALFORMED";

/** A value that cannot be sent or read. The code names the fault; the message names the place and the remedy. */
export class WireError extends TaskloomQueueError {
  declare readonly code: WireErrorCode;
  /** The place in the value, such as `arguments[0].user.name`. */
  readonly path: string;

  constructor(code: WireErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.path = path;
  }
}
