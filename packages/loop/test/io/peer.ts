import { join } from "node:path";
import { allTasks, createSubprocess, getRunningLoop, sleep } from "@taskloom/loop";
import type { Process, Server } from "@taskloom/loop";

export const local = { host: "127.0.0.1" } as const;
export const portOf = (server: Server): number => server.sockets()[0]!.port;

/** Another process with raw sockets, that does what it is told: a client as bad as one likes. */
export class Peer implements AsyncDisposable {
  readonly process: Process;

  private constructor(process: Process) {
    this.process = process;
  }

  static async start(): Promise<Peer> {
    const script = join(import.meta.dirname, "fixtures/peer-process.ts");
    const flags = ["--no-warnings", "--experimental-strip-types"];
    const child = await createSubprocess(process.execPath, [...flags, script], {
      stdin: "pipe",
      stdout: "pipe",
    });
    return new Peer(child);
  }

  /** Tells it to do something without waiting for what comes of it. */
  tell(command: string, ...args: (string | number)[]): void {
    this.process.stdin!.write(`${[command, ...args].join(" ")}\n`);
  }

  /** What came of the oldest command that was told. */
  async answer(): Promise<string> {
    return (await this.process.stdout!.readLine()).toString().trim();
  }

  /** Tells it to do something, and waits for what comes of it. */
  async does(command: string, ...args: (string | number)[]): Promise<string> {
    this.tell(command, ...args);
    return await this.answer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

/** What a server keeps of its clients, and the loop of the outside. */
export function clientsOf(server: Server): number {
  return Number(/clients=(\d+)/.exec(server._describe())?.[1]);
}

/** How many sockets this process has open, as Node counts them; listeners and pipes apart. */
export const openSockets = (): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;

export const openResources = (): number => getRunningLoop()._resources.size;

/**
 * Resolves when `look` gives the same before and after a number of round trips to the peer's process: what is
 * under way has come to stand still. No time is waited for, so that a slow machine gets what it needs.
 */
export async function untilStill(peer: Peer, look: () => number): Promise<number> {
  for (;;) {
    const before = look();
    for (let i = 0; i < 50; i++) await peer.does("hello");
    if (look() === before) return before;
  }
}

/** Resolves when no task is left but the one that asks. */
export async function untilAlone(): Promise<void> {
  while (allTasks().size > 1) await sleep(0);
}
