import { FlowProducer } from "bullmq";
import type { FlowJob } from "bullmq";
import { ConnectionCutError } from "../../contract/connection-cut.ts";
import type { FlowAdder } from "../../contract/lane-queue.ts";
import { watchClient } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { RedisClient } from "./redis-client.ts";
import { redisTransient } from "./redis-transient.ts";
import { bringScripts } from "./transaction-scripts.ts";
import { isNotPrimary } from "./writable-redis.ts";

/** A flow without an answer for so long is repeated on another connection, in milliseconds. */
const HUNG_MS = 10_000;

interface OpenConnection {
  readonly client: RedisClient;
  readonly flows: FlowProducer;
  readonly heartbeat: Heartbeat;
}

/**
 * Adds flows on a connection that sends no command twice. If the connection is cut, the commands without an answer fail, and
 * the next flow opens another connection. On any other connection ioredis repeats a transaction whose answer it has not
 * begun to read, and a flow that is added twice makes its parent wait again for a child that has failed meanwhile.
 */
export class FlowConnection implements FlowAdder {
  readonly #connect: () => RedisClient;
  readonly #prefix: string;
  readonly #maxSilentBeats: number;
  #open: OpenConnection | undefined;
  #closed = false;

  /** @param connect returns a client that does not connect again. */
  constructor(connect: () => RedisClient, prefix: string, maxSilentBeats: number) {
    this.#connect = connect;
    this.#prefix = prefix;
    this.#maxSilentBeats = maxSilentBeats;
  }

  async add(flow: FlowJob): Promise<unknown> {
    if (this.#closed) throw new ConnectionCutError("The connection for flows was closed.");
    const { client, flows } = (this.#open ??= this.#openOne());
    // A cluster that replaces a node may neither connect nor fail. The command is then cut here.
    const { promise: hung, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      client.disconnect();
      reject(new Error("Connection is closed."));
    }, HUNG_MS);
    try {
      return await Promise.race([hung, flows.waitUntilReady().then(() => flows.add(flow))]);
    } catch (error) {
      if (isNotPrimary(error)) client.disconnect(); // The next flow goes to the new primary.
      if (redisTransient(error) === "refused") throw error;
      // A cluster that has lost one node is still ready.
      const isCut = error instanceof Error && error.message === "Connection is closed.";
      if (client.status === "ready" && !isCut) throw error;
      throw new ConnectionCutError("The connection was cut while a flow was on its way.", { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  #openOne(): OpenConnection {
    const client = this.#connect();
    client.on("error", () => {}); // The commands without an answer fail with it.
    bringScripts(client);
    const flows = new FlowProducer({ connection: client, prefix: this.#prefix });
    failWhole(flows);
    flows.on("error", () => {});
    const heartbeat = watchClient(client, this.#maxSilentBeats);
    const open = { client, flows, heartbeat };
    client.on("end", () => {
      heartbeat.stop();
      if (this.#open === open) this.#open = undefined;
    });
    return open;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const open = this.#open;
    this.#open = undefined;
    open?.heartbeat.stop();
    await open?.flows.close();
    open?.client.disconnect();
  }
}

/** Rejects a flow of which any job could not be added. BullMQ reads only the answer for the parent. */
function failWhole(flows: FlowProducer): void {
  const backend = flows.getBackend();
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    const results = await addFlow(entries);
    const failed = results.find(([error]) => error != null);
    if (failed !== undefined) throw failed[0];
    return results;
  };
}
