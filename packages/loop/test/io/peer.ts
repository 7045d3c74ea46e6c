import { join } from "node:path";
import { allTasks, createSubprocess, getRunningLoop, sleep } from "@taskloom/loop";
import type { Process, Server } from "@taskloom/loop";

export const local = { host: "127.0.0.1" } as const;
export const portOf = (server: Server): number => server.sockets()[0]!.port;

/** Another process with raw sockets, which executes commands: a client can misbehave in every way. */
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

  /** Sends a command without waiting for its answer. */
  tell(command: string, ...args: (string | number)[]): void {
    this.process.stdin!.write(`${[command, ...args].join(" ")}\n`);
  }

  /** Returns the answer to the oldest unanswered command. */
  async answer(): Promise<string> {
    return (await this.process.stdout!.readLine()).toString().trim();
  }

  /** Sends a command, and waits for its answer. */
  async does(command: string, ...args: (string | number)[]): Promise<string> {
    this.tell(command, ...args);
    return await this.answer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

/** Returns the number of clients that a server has recorded. */
export function clientsOf(server: Server): number {
  return Number(/clients=(\d+)/.exec(server._describe())?.[1]);
}

/** Returns the number of open sockets of this process as Node counts them, without listeners and pipes. */
export const openSockets = (): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;

export const openResources = (): number => getRunningLoop()._resources.size;

/**
 * Resolves when `look` returns the same number before and after a series of round trips to the peer's
 * process. All events in flight have then arrived. The function waits for no fixed time, so a slow machine is
 * no problem.
 */
export async function untilStill(peer: Peer, look: () => number): Promise<number> {
  for (;;) {
    const before = look();
    for (let i = 0; i < 50; i++) await peer.does("hello");
    if (look() === before) return before;
  }
}

/** Resolves when the calling task is the only task left. */
export async function untilAlone(): Promise<void> {
  while (allTasks().size > 1) await sleep(0);
}
