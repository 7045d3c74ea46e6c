import { createHash, randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { WAITING } from "../schema/states.ts";
import { ProcessLock, isReleased } from "./process-lock.ts";
import type { Change } from "./messages.ts";
import type { Store } from "../store/store.ts";

/** How often a process looks whether its peers live, and whether a message was missed; milliseconds. */
const lookInterval = 500;
/** How many bytes may wait for a process that does not read; what comes then is not sent to it. */
const unreadAtMost = 16 * 1_048_576;
/** The first line to another process: it says that there is a new one. */
const greeting = "{}";
/** The longest path of a Unix socket that every system takes, in bytes. */
const socketPathAtMost = 100;
/** The first SQLite in which two processes that write at once cannot damage a write-ahead log. */
const sharedFrom = [3, 51, 3];

/** Whether several processes may share a file with this version of SQLite. */
export function canShare(sqlite: string): boolean {
  const parts = sqlite.split(".").map(Number);
  for (const [index, least] of sharedFrom.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/**
 * The processes that share a database file. Each has a row in `process`, a lock that ends with it, and a local socket on
 * which the others tell it which queues have changed. A message can be lost, so a slow look at SQLite's `data_version` is
 * the safety net. A process that dies is noticed when its socket closes; if its lock is free, too, its active jobs wait
 * again. The lock alone would not do: POSIX drops it when any code of its own process opens and closes the lock file, as
 * a task does that reads whole folders.
 */
export class Peers {
  /** The number of this process, by which its active jobs are found when it dies. */
  readonly id: number;
  readonly #store: Store;
  readonly #onChange: (change: Change) => void;
  readonly #lock: ProcessLock;
  readonly #address: string;
  readonly #server: Server;
  /** The sockets to the others, by their numbers. */
  readonly #peers = new Map<number, Socket>();
  #isDeaf = false;
  /** The database is closed, or about to be: what the sockets still say is of no use. */
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
    this.#server = createServer((socket) => this.#hear(socket)).unref();
    // Without a socket of its own no process can say that it has come, so the slow look goes on all the time.
    this.#server.on("error", () => {
      if (this.#hasLeft) return;
      this.#isDeaf = true;
      this.#keepLooking();
    });
    this.#server.listen(address);
  }

  /**
   * Joins the processes of a file.
   *
   * @param transaction runs its body in a transaction of the store, waiting for other processes.
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
        // The name alone, so that a folder that is moved finds its locks.
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
    peers.#meet();
    return peers;
  }

  /** Resolves when every process that was there is known to live, or is removed. */
  async met(): Promise<void> {
    const connecting = [...this.#peers.values()].filter((socket) => socket.connecting);
    await Promise.all(
      connecting.map((socket) => {
        socket.ref();
        return new Promise<void>((resolve) => socket.once("connect", resolve).once("close", () => resolve()));
      }),
    );
    for (const socket of connecting) socket.unref();
  }

  /** How many other processes have the file open. */
  get others(): number {
    return this.#peers.size;
  }

  /** Tells the other processes what a turn has changed. */
  tell(change: Change): void {
    if (this.#peers.size === 0) return;
    const line = `${JSON.stringify(change)}\n`;
    for (const socket of this.#peers.values()) {
      // A process that is stopped reads nothing. It finds what it missed by its own look.
      if (socket.writableLength < unreadAtMost) socket.write(line);
    }
  }

  /**
   * Leaves: the row, the lock and the socket are removed.
   *
   * @param transaction runs its body in a transaction of the store. If it fails, the lock file stays, so that the other
   * processes find a row whose lock is free.
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

  /** Connects to every process that is not known yet. */
  #meet(): void {
    for (const row of this.#store.all("SELECT id, address FROM process WHERE id <> ?", this.id)) {
      const id = Number(row["id"]);
      if (this.#peers.has(id)) continue;
      const socket = connect(String(row["address"])).unref();
      socket.on("error", () => {});
      socket.on("close", () => this.#lost(id));
      socket.write(`${greeting}\n`);
      this.#peers.set(id, socket);
    }
    if (this.#peers.size > 0) this.#keepLooking();
  }

  #keepLooking(): void {
    this.#timer ??= setInterval(() => this.#look(), lookInterval).unref();
  }

  /** The socket of another process has closed. Where the process lives, the next look connects to it again. */
  #lost(id: number): void {
    if (this.#hasLeft) return;
    this.#peers.delete(id);
    this.#bury();
  }

  #hear(socket: Socket): void {
    let rest = "";
    socket.unref();
    socket.on("error", () => {});
    socket.setEncoding("utf8").on("data", (text: string) => {
      if (this.#hasLeft) return;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const change = changeOf(line);
        // No process of this file writes anything else, so a stranger has found the socket.
        if (change === undefined) socket.destroy();
        else if (line === greeting) this.#meet();
        else this.#onChange(change);
      }
      this.#version = this.#store.dataVersion();
    });
  }

  /** Finds what no message told: a change, a new process, a dead one. */
  #look(): void {
    const version = this.#store.dataVersion();
    if (version !== this.#version) {
      this.#version = version;
      this.#onChange({});
    }
    this.#bury();
    this.#meet();
    if (this.#peers.size > 0 || this.#isDeaf) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Takes back the jobs of processes that are gone: their sockets are closed, and their locks free. */
  #bury(): void {
    const folder = dirname(this.#lock.path);
    const findDead = (): Registered[] =>
      this.#store
        .all("SELECT id, lock, address FROM process WHERE id <> ?", this.id)
        .map(({ id, lock, address }) => ({
          id: Number(id),
          lockPath: join(folder, String(lock)),
          address: String(address),
        }))
        .filter(({ id, lockPath }) => !this.#peers.has(id) && isReleased(lockPath));
    if (findDead().length === 0) return;
    try {
      this.#store.begin();
      for (const dead of findDead()) remove(this.#store, dead); // Another process may have been faster.
      this.#store.commit();
    } catch {
      return this.#store.rollback(); // Another process is faster, or has the database: the next look tries again.
    }
    const { jobs, events } = this.#store.signals;
    const change: Change = { jobs: [...jobs], events: [...events] };
    this.#onChange(change);
    this.tell(change);
  }
}

/** A line that another process wrote; undefined when it is no JSON object. */
function changeOf(line: string): Change | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A process as the others see it. */
interface Registered {
  readonly id: number;
  readonly lockPath: string;
  readonly address: string;
}

/** Removes a process that is gone. Its active jobs wait again, in their places. */
function remove(store: Store, { id, lockPath, address }: Registered): void {
  const jobs = store.all(
    `UPDATE job SET state = ${WAITING}, lock_token = NULL, locked_until = NULL, owner = NULL, stalled_marked = 0, stalled = stalled + 1 WHERE state = 1 AND owner = ? RETURNING id, q`,
    id,
  );
  for (const job of jobs) {
    const queue = String(store.get("SELECT name FROM queue WHERE q = ?", job["q"] as number)?.["name"]);
    store.publish(queue, "stalled", { jobId: String(job["id"]) });
    store.wake(queue);
  }
  store.run("DELETE FROM process WHERE id = ?", id);
  rmSync(lockPath, { force: true });
  removeSocket(address);
}

function removeSocket(address: string): void {
  if (process.platform !== "win32") rmSync(address, { force: true });
}

/** Where a process listens: beside the file, or under a short name where the path is too long for a socket. */
function addressFor(path: string, name: string): string {
  if (process.platform === "win32") return String.raw`\\.\pipe\bullmq-sqlite-${name}`;
  const beside = `${path}-${name}.sock`;
  if (Buffer.byteLength(beside) <= socketPathAtMost) return beside;
  const hash = createHash("sha256").update(dirname(path)).digest("hex").slice(0, 12);
  return join(tmpdir(), `bullmq-sqlite-${hash}-${name}.sock`);
}
