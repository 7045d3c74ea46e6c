import type { ScriptConnection, ScriptValue } from "./driver/script-connection.ts";
import type { RedisClient } from "./redis-client.ts";

type ScriptCall = (...args: readonly ScriptValue[]) => Promise<unknown>;

/**
 * Runs scripts on a client that repeats a command whose connection was cut. Each script must change nothing the second time.
 */
export class RepeatingScripts implements ScriptConnection {
  readonly #client: RedisClient;
  readonly #scripts: () => Readonly<Record<string, string>>;
  #isDefined = false;

  /** @param scripts returns the texts of the scripts, by their names, at their first use. */
  constructor(client: RedisClient, scripts: () => Readonly<Record<string, string>>) {
    this.#client = client;
    this.#scripts = scripts;
  }

  async run(name: string, keys: readonly string[], values: readonly ScriptValue[]): Promise<unknown> {
    if (!this.#isDefined) {
      for (const [each, lua] of Object.entries(this.#scripts())) this.#client.defineCommand(each, { lua });
      this.#isDefined = true;
    }
    // ioredis adds a method that the type of the client does not have.
    const call: ScriptCall = Reflect.get(this.#client, name);
    return await call.call(this.#client, keys.length, ...keys, ...values);
  }
}
