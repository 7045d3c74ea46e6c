import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A `redis-server` that a test can start, kill and restart, on a free port of the loopback address. */
export class PrivateRedis {
  readonly url: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #settings: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string, settings: readonly string[]) {
    this.url = `redis://127.0.0.1:${port}`;
    this.#port = port;
    this.#folder = folder;
    this.#settings = settings;
  }

  /**
   * Throws if there is no `redis-server` on the PATH. With `appendonly`, acknowledged writes survive a kill;
   * with `cluster`, the server is a node of a cluster.
   */
  static async start({
    appendonly = false,
    cluster = false,
    port,
  }: {
    readonly appendonly?: boolean;
    readonly cluster?: boolean;
    readonly port?: number;
  } = {}): Promise<PrivateRedis> {
    const folder = await mkdtemp(join(tmpdir(), "taskloom-redis-"));
    const settings = appendonly ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
    // The default port between nodes is 10,000 higher, which may not be a valid port.
    if (cluster) settings.push("--cluster-enabled", "yes", "--cluster-port", String(await freePort()));
    const redis = new PrivateRedis(port ?? (await freePort()), folder, settings);
    await redis.restart();
    return redis;
  }

  /** Starts the server again on the same port and data. */
  async restart(): Promise<void> {
    const child = spawn(
      "redis-server",
      ["--port", String(this.#port), "--bind", "127.0.0.1", "--dir", this.#folder, "--save", ""].concat(
        this.#settings,
      ),
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}`)));
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        if (text.includes("Ready to accept connections")) resolve();
      });
    });
    child.removeAllListeners("exit");
  }

  /** Ends the server as `kill -9` does, and waits for its end. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Returns a free port of the loopback address. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
