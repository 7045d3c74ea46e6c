import { createHash, randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ACTIVE, WAITING } from "../schema/states.ts";
import { ProcessLock, lockState } from "./process-lock.ts";
import type { Change } from "./messages.ts";
import type { Store } from "../store/store.ts";

/** The interval at which a process checks whether the other processes live and whether a message was lost. */
const CHECK_INTERVAL_MS = 500;
/** The most bytes that may wait for a process that does not read. Further messages are not sent to it. */
const MAX_UNREAD_BYTES = 16 * 1_048_576;
/** The first line to another process: a new process has come. */
const GREETING = "{}";
/** The longest path of a Unix socket that every system accepts, in bytes. */
const MAX_SOCKET_PATH_BYTES = 100;
/** The first SQLite in which two processes that write at once cannot damage a write-ahead log. */
const FIRST_SHARED_SQLITE = [3, 51, 3];
/** The error of a connection to an address on which no process listens. A pipe of Windows ends with its process. */
const NOBODY_LISTENS = process.platform === "win32" ? "ENOENT" : "ECONNREFUSED";

/** Returns whether several processes may share a file with this version of SQLite. */
export function canShare(sqlite: string): boolean {
  const parts = sqlite.split(".").map(Number);
  for (const [index, least] of FIRST_SHARED_SQLITE.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/**
 * The processes that share a database file. Each process has a row in `process`, a lock that ends with it, and a local
 * socket on which the other processes send it the names of changed queues. Messages can be lost, so each process also
 * reads SQLite's `data_version` at a slow interval.
 *
 * A process counts as gone by two signs, its socket and its lock. If its socket is closed and its lock is released, its
 * active jobs wait again. The lock alone is no proof: POSIX drops it when any code of the process opens and closes the
 * lock file, as a task does that reads whole folders. If the lock file was deleted or overwritten, the second sign is the
 * socket's file: the operating system refuses a connection to it as soon as no process listens on it. If both files were
 * deleted, nothing shows whether the process lives, and its jobs stay active until their locks lapse. The process id
 * decides nothing, because a process in another container has its ids in another namespace.
 */
export class Peers {
  /** The number of this process. Its active jobs name it as their owner. */
  readonly id: number;
  readonly #store: Store;
  readonly #onChange: (change: Change) => void;
  readonly #lock: ProcessLock;
  readonly #address: string;
  readonly #server: Server;
  /** The sockets to the other processes, by their numbers. */
  readonly #peers = new Map<number, Socket>();
  /** The processes on whose address no process listened at the last connection. */
  readonly #unreachable = new Set<number>();
  /** The processes that wait for events. */
  readonly #listeners = new Set<number>();
  #isListening = false;
  /** Whether this process has no socket of its own. */
  #isDeaf = false;
  /** Whether the database is closed or about to close. Later messages and closed sockets are ignored. */
  #hasLeft = false;
  #timer: NodeJS.Timeout | undefined;
  #version: number;

  private constructor(
    store: Store,
    id: number,
    lock: ProcessLock,
    address: string,
    onChange: (change: Change) => void,
  ) {
    this.#store = store;
    this.id = id;
    this.#lock = lock;
    this.#address = address;
    this.#onChange = onChange;
    this.#version = store.dataVersion();
    this.#server = createServer((socket) => this.#receive(socket)).unref();
    // Without a socket of its own a process cannot be greeted by new processes, so its checks never stop.
    this.#server.on("error", () => {
      if (this.#hasLeft) return;
      this.#isDeaf = true;
      this.#keepChecking();
    });
    this.#server.listen(address);
  }

  /**
   * Joins the processes of a file.
   *
   * @param transaction runs its body in a transaction of the store, for which it waits while other processes have
   *   theirs.
   */
  static join(
    path: string,
    store: Store,
    onChange: (change: Change) => void,
    transaction: (body: () => void) => void,
  ): Peers {
    const name = randomUUID().slice(0, 8);
    const lock = new ProcessLock(`${path}-${name}.lock`);
    const address = addressFor(path, name);
    let id = 0;
    try {
      transaction(() => {
        // Without the folder, so that the locks are found after the folder was moved.
        const lockName = basename(lock.path);
        store.run(
          "INSERT INTO process (pid, address, lock) VALUES (?, ?, ?)",
          process.pid,
          address,
          lockName,
        );
        id = Number(store.get("SELECT last_insert_rowid() AS id")?.["id"]);
      });
    } catch (error) {
      lock.release();
      throw error;
    }
    const peers = new Peers(store, id, lock, address, onChange);
    peers.#connect();
    return peers;
  }

  /** Resolves when each process that was registered before is either connected or removed. */
  async connected(): Promise<void> {
    const connecting = [...this.#peers.values()].filter((socket) => socket.connecting);
    await Promise.all(
      connecting.map((socket) => {
        socket.ref();
        return new Promise<void>((resolve) => socket.once("connect", resolve).once("close", () => resolve()));
      }),
    );
    for (const socket of connecting) socket.unref();
  }

  /** The number of other processes that have the file open. */
  get others(): number {
    return this.#peers.size;
  }

  /** Sends the changes of a turn to the other processes. Events alone are sent to the processes that wait for events. */
  send(change: Change): void {
    const { jobs, events, messages } = change;
    const isForAll = jobs !== undefined || messages !== undefined;
    if (this.#peers.size === 0 || (!isForAll && (events === undefined || this.#listeners.size === 0))) return;
    const line = `${JSON.stringify(change)}\n`;
    for (const [id, socket] of this.#peers) {
      if (!isForAll && !this.#listeners.has(id)) continue;
      // A stopped process reads nothing. It finds the lost changes by its next check.
      if (socket.writableLength < MAX_UNREAD_BYTES) socket.write(line);
    }
  }

  /** Asks the other processes for news of events from now on. */
  listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    for (const socket of this.#peers.values()) socket.write(this.#asListener());
  }

  #asListener(): string {
    return `${JSON.stringify({ listener: this.id } satisfies Change)}\n`;
  }

  /**
   * Leaves the other processes: removes the row, the lock and the socket.
   *
   * @param transaction runs its body in a transaction of the store. If it fails, the lock file stays, so the other
   *   processes find a row whose lock is released.
   */
  leave(transaction: (body: () => void) => void): void {
    this.#hasLeft = true;
    clearInterval(this.#timer);
    this.#server.close();
    for (const socket of this.#peers.values()) socket.destroy();
    this.#peers.clear();
    try {
      transaction(() => this.#store.run("DELETE FROM process WHERE id = ?", this.id));
    } catch {
      return this.#lock.abandon();
    }
    this.#lock.release();
    removeSocket(this.#address);
  }

  /** Connects to each registered process that has no connection yet. */
  #connect(): void {
    for (const row of this.#store.all("SELECT id, address FROM process WHERE id <> ?", this.id)) {
      const id = Number(row["id"]);
      if (this.#peers.has(id)) continue;
      const socket = connect(String(row["address"])).unref();
      socket.on("connect", () => this.#unreachable.delete(id));
      socket.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === NOBODY_LISTENS) this.#unreachable.add(id);
      });
      socket.on("close", () => this.#disconnected(id));
      socket.write(`${GREETING}\n`);
      if (this.#isListening) socket.write(this.#asListener());
      this.#peers.set(id, socket);
    }
    if (this.#peers.size > 0) this.#keepChecking();
  }

  #keepChecking(): void {
    this.#timer ??= setInterval(() => this.#check(), CHECK_INTERVAL_MS).unref();
  }

  /** Handles the closed socket of another process. If the process lives, the next check connects to it again. */
  #disconnected(id: number): void {
    if (this.#hasLeft) return;
    this.#peers.delete(id);
    this.#listeners.delete(id);
    this.#recoverJobs();
  }

  #receive(socket: Socket): void {
    let rest = "";
    socket.unref();
    socket.on("error", () => {});
    socket.setEncoding("utf8").on("data", (text: string) => {
      if (this.#hasLeft) return;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const change = changeOf(line);
        // The processes of this file write JSON objects only, so any other line is from a stranger.
        if (change === undefined) socket.destroy();
        else if (line === GREETING) this.#connect();
        else if (change.listener !== undefined) this.#listeners.add(change.listener);
        else this.#onChange(change);
      }
      this.#version = this.#store.dataVersion();
    });
  }

  /** Finds changes, new processes and dead processes of which no message has come. */
  #check(): void {
    const version = this.#store.dataVersion();
    if (version !== this.#version) {
      this.#version = version;
      this.#onChange({});
    }
    this.#recoverJobs();
    this.#connect();
    if (this.#peers.size > 0 || this.#isDeaf) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Removes the processes that are gone. Their active jobs wait again. */
  #recoverJobs(): void {
    if (this.#findGone().length === 0) return;
    let gone: Registered[];
    try {
      this.#store.begin();
      gone = this.#findGone(); // Another process may have removed them meanwhile.
      for (const { id } of gone) remove(this.#store, id);
      this.#store.commit();
    } catch {
      return this.#store.rollback(); // Another process has the database, or the disk is full: the next check tries again.
    }
    // After the commit: a row whose files are missing is hard to judge.
    for (const { id, lockPath, address } of gone) {
      this.#unreachable.delete(id);
      rmSync(lockPath, { force: true });
      removeSocket(address);
    }
    const { jobs, events } = this.#store.signals;
    const change: Change = { jobs: [...jobs], events: [...events] };
    this.#onChange(change);
    this.send(change);
  }

  #findGone(): Registered[] {
    const folder = dirname(this.#lock.path);
    return this.#store
      .all("SELECT id, lock, address FROM process WHERE id <> ?", this.id)
      .map(({ id, lock, address }) => ({
        id: Number(id),
        lockPath: join(folder, String(lock)),
        address: String(address),
      }))
      .filter((registered) => this.#isGone(registered));
  }

  #isGone({ id, lockPath }: Registered): boolean {
    if (this.#peers.has(id)) return false;
    const state = lockState(lockPath);
    return state === "released" || (state === "unknown" && this.#unreachable.has(id));
  }
}

/** Returns the change that another process wrote as a line; undefined if the line is no JSON object. */
function changeOf(line: string): Change | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A process as the other processes find it in the database. */
interface Registered {
  readonly id: number;
  readonly lockPath: string;
  readonly address: string;
}

/** Removes the row of a process that is gone. Its active jobs wait again, in their places. */
function remove(store: Store, id: number): void {
  const jobs = store.all(
    `UPDATE job SET state = ${WAITING}, lock_token = NULL, locked_until = NULL, owner = NULL, stalled_marked = 0, stalled = stalled + 1 WHERE state = ${ACTIVE} AND owner = ? RETURNING id, q`,
    id,
  );
  for (const job of jobs) {
    const queue = String(store.get("SELECT name FROM queue WHERE q = ?", Number(job["q"]))?.["name"]);
    store.publish(queue, "stalled", { jobId: String(job["id"]) });
    store.wake(queue);
  }
  store.run("DELETE FROM process WHERE id = ?", id);
}

function removeSocket(address: string): void {
  if (process.platform !== "win32") rmSync(address, { force: true });
}

/** Returns the address of a process: beside the file, or in the temporary folder if the path is too long for a socket. */
function addressFor(path: string, name: string): string {
  if (process.platform === "win32") return String.raw`\\.\pipe\bullmq-sqlite-${name}`;
  const beside = `${path}-${name}.sock`;
  if (Buffer.byteLength(beside) <= MAX_SOCKET_PATH_BYTES) return beside;
  const hash = createHash("sha256").update(dirname(path)).digest("hex").slice(0, 12);
  return join(tmpdir(), `bullmq-sqlite-${hash}-${name}.sock`);
}
