/** A command was on its way when its connection was cut: the engine may have executed it or not. */
export class ConnectionCutError extends Error {
  override readonly name = "ConnectionCutError";
}
