/** A value of a script. BullMQ packs some of its values, so they are bytes. */
export type ScriptValue = string | number | Buffer;

/**
 * The connection on which the driver runs its scripts. It must repeat no command by itself: a second claim would take other
 * jobs, and nobody would know of the first ones until their locks lapse.
 */
export interface ScriptConnection {
  /**
   * Runs a script by its name.
   *
   * @throws the server's error, or the error of a cut connection; the script may have been executed then.
   */
  run(name: string, keys: readonly string[], values: readonly ScriptValue[]): Promise<unknown>;
}
