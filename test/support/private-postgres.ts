import { execFile, execFileSync } from "node:child_process";
import { chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./private-redis.ts";

const run = promisify(execFile);

/** Settings for tests that wait for signals instead of seconds: deadlocks are detected at once. */
const TEST_SETTINGS = "-c deadlock_timeout=20ms -c max_connections=200 -c shared_buffers=32MB";

/**
 * A PostgreSQL server that a test can stop, restart and reconfigure, on a free port of the loopback address.
 * PostgreSQL refuses to run as root, so under root it runs as the user `postgres`.
 */
export class PrivatePostgres {
  readonly url: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #binaries: string;
  readonly #user: { readonly uid: number; readonly gid: number } | undefined;
  readonly #settings: string;

  private constructor(
    port: number,
    folder: string,
    binaries: string,
    user: { readonly uid: number; readonly gid: number } | undefined,
    settings: string,
  ) {
    this.url = `postgres://taskloom@127.0.0.1:${port}/postgres`;
    this.#port = port;
    this.#folder = folder;
    this.#binaries = binaries;
    this.#user = user;
    this.#settings = settings;
  }

  /**
   * Throws if PostgreSQL's server binaries, or a user that may run them, are missing.
   *
   * @param settings the options of `postgres` besides its address.
   */
  static async start(settings: string = TEST_SETTINGS): Promise<PrivatePostgres> {
    const binaries = await serverBinaries();
    const user = process.getuid?.() === 0 ? systemUser("postgres") : undefined;
    const folder = await mkdtemp(join(tmpdir(), "taskloom-postgres-"));
    if (user !== undefined) await chown(folder, user.uid, user.gid);
    const server = new PrivatePostgres(await freePort(), folder, binaries, user, settings);
    await server.#call("initdb", ["-D", server.#data, "-U", "taskloom", "-A", "trust", "--no-sync"]);
    await server.restart();
    return server;
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  /** Starts the server on the same port and data, and waits until it accepts connections. */
  async restart(): Promise<void> {
    const options = `-p ${this.#port} -k '' -h 127.0.0.1 ${this.#settings}`;
    await this.#call("pg_ctl", [
      "-D",
      this.#data,
      "-w",
      "-l",
      join(this.#folder, "log"),
      "-o",
      options,
      "start",
    ]);
  }

  /** Ends the server as a power failure does: without a checkpoint, with all connections cut. */
  async kill(): Promise<void> {
    await this.#call("pg_ctl", ["-D", this.#data, "-m", "immediate", "-w", "stop"]);
  }

  async stop(): Promise<void> {
    await this.kill().catch(() => {}); // The server may be stopped already.
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #call(command: string, args: readonly string[]): Promise<void> {
    // The server of pg_ctl inherits the standard streams, so `stdio: pipe` alone would wait for the server's
    // end.
    await run("sh", ["-c", '"$0" "$@" >/dev/null 2>&1 </dev/null', join(this.#binaries, command), ...args], {
      cwd: this.#folder,
      ...this.#user,
    });
  }
}

/** @throws if no `initdb` is found. */
async function serverBinaries(): Promise<string> {
  // Debian has a folder for the server's binaries of each version, outside the PATH.
  const versions = await readdir("/usr/lib/postgresql").catch(() => []);
  const [newest] = versions.map(Number).toSorted((a, b) => b - a);
  if (newest !== undefined) return `/usr/lib/postgresql/${newest}/bin`;
  return execFileSync("pg_config", ["--bindir"], { encoding: "utf8" }).trim();
}

function systemUser(name: string): { readonly uid: number; readonly gid: number } {
  const id = (flag: string): number => Number(execFileSync("id", [flag, name], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}
