import { ConnectionCutError } from "../../contract/connection-cut.ts";
import type { ScriptConnection, ScriptValue } from "./driver/script-connection.ts";
import { watchClient } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { RedisClient } from "./redis-client.ts";
import { redisTransient } from "./redis-transient.ts";
import { isNotPrimary } from "./writable-redis.ts";

type ScriptCall = (...args: readonly ScriptValue[]) => Promise<unknown>;

interface OpenConnection {
  readonly client: RedisClient;
  readonly heartbeat: Heartbeat;
}

/**
 * A connection that sends no command twice. If it is cut, the commands without an answer fail, and the next command opens
 * another connection.
 */
export class UnrepeatedConnection implements ScriptConnection {
  readonly #connect: () => RedisClient;
  readonly #scripts: () => Readonly<Record<string, string>>;
  readonly #maxSilentBeats: number;
  #open: OpenConnection | undefined;
  #closed = false;

  /**
   * @param connect returns a client that does not connect again.
   * @param scripts returns the texts of the scripts, by their names.
   */
  constructor(
    connect: () => RedisClient,
    scripts: () => Readonly<Record<string, string>>,
    maxSilentBeats: number,
  ) {
    this.#connect = connect;
    this.#scripts = scripts;
    this.#maxSilentBeats = maxSilentBeats;
  }

  /**
   * Runs a script: by its hash, and by its text if the server does not have it yet.
   *
   * @throws {@link ConnectionCutError} if the connection was lost before the answer.
   */
  async run(name: string, keys: readonly string[], values: readonly ScriptValue[]): Promise<unknown> {
    if (this.#closed) throw new ConnectionCutError("The connection for scripts was closed.");
    const { client } = (this.#open ??= this.#openOne());
    try {
      // ioredis adds a method that the type of the client does not have.
      const call: ScriptCall = Reflect.get(client, name);
      return await call.apply(client, [keys.length, ...keys, ...values]);
    } catch (error) {
      if (isNotPrimary(error)) client.disconnect(); // The next command goes to the new primary.
      if (redisTransient(error) === "refused") throw error;
      // A cluster that has lost one node is still ready.
      const isCut = error instanceof Error && error.message === "Connection is closed.";
      if (client.status === "ready" && !isCut) throw error;
      throw new ConnectionCutError("The connection was cut while a script was on its way.", { cause: error });
    }
  }

  #openOne(): OpenConnection {
    const client = this.#connect();
    client.on("error", () => {}); // The commands without an answer fail with it.
    for (const [name, lua] of Object.entries(this.#scripts())) client.defineCommand(name, { lua });
    const heartbeat = watchClient(client, this.#maxSilentBeats);
    const open = { client, heartbeat };
    client.on("end", () => {
      heartbeat.stop();
      if (this.#open === open) this.#open = undefined;
    });
    return open;
  }

  close(): void {
    this.#closed = true;
    const open = this.#open;
    this.#open = undefined;
    open?.heartbeat.stop();
    open?.client.disconnect();
  }
}
