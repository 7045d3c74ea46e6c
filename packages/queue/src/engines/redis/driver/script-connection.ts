/** A value of a script. BullMQ packs some of its values, so they are bytes. */
export type ScriptValue = string | number | Buffer;

/** A connection that runs scripts by their names, in the order of the calls, and none of them twice. */
export interface ScriptConnection {
  /**
   * Runs a script.
   *
   * @throws {@link ConnectionCutError} if the connection was lost before the answer.
   */
  run(name: string, keys: readonly string[], values: readonly ScriptValue[]): Promise<unknown>;
}
