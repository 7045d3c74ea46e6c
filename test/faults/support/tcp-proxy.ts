import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

/**
 * The kinds of cuts: `reset` notifies both sides; `silent` notifies neither, like a network that drops
 * packets.
 */
export type Cut = "reset" | "silent";

/**
 * The moment of a cut: before the command has passed, when its answer has begun to pass, or before the
 * answer.
 */
export type CutWhen = "asked" | "answering" | "answered";

/** The marks of the end of an answer: all results of a Redis transaction, and PostgreSQL's ReadyForQuery. */
const ends = {
  redis: (answer: string): boolean => /^\*\d/m.test(answer),
  postgres: (answer: string): boolean => answer.includes("Z\0\0\0\u0005"),
};

/** A TCP proxy on the loopback address that a test can cut and repair. */
export class TcpProxy {
  readonly url: string;
  readonly #isEnd: (answer: string) => boolean;
  readonly #close: () => void;
  #port: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #cut: Cut | undefined;
  #next: { readonly command: string; readonly when: CutWhen; readonly done: () => void } | undefined;

  private constructor(url: URL, target: URL, close: () => void) {
    this.url = url.href;
    this.#isEnd = url.protocol === "postgres:" ? ends.postgres : ends.redis;
    this.#port = Number(target.port);
    this.#close = close;
  }

  static async to(url: string): Promise<TcpProxy> {
    const address = new URL(url);
    const server = createServer((near) => proxy.#join(near));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    address.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const proxy = new TcpProxy(address, new URL(url), () => server.close());
    return proxy;
  }

  /** Connects new connections to another server; open connections stay. */
  leadTo(url: string): void {
    this.#port = Number(new URL(url).port);
  }

  #join(near: Socket): void {
    near.on("error", () => {});
    if (this.#cut === "reset") return void near.resetAndDestroy();
    if (this.#cut === "silent") return void near.pause(); // accepted by the kernel, and never answered
    const far = connect(this.#port, "127.0.0.1");
    far.on("error", () => {});
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    near.on("data", (chunk: Buffer) => this.#cutOff(chunk, near, far)); // before the pipe receives it
    near.pipe(far).pipe(near);
    for (const side of pair) {
      side.on("close", () => {
        this.#pairs.delete(pair);
        for (const each of pair) if (this.#cut !== "silent") each.destroy();
      });
    }
  }

  /** Stops all traffic. Data in flight is lost, and a silently cut connection never comes back. */
  cut(how: Cut): void {
    this.#cut = how;
    for (const [near, far] of this.#pairs) {
      if (how === "reset") {
        near.resetAndDestroy();
        far.resetAndDestroy();
      } else {
        near.unpipe(far);
        far.unpipe(near);
        near.pause();
        // A real server notices later; here it is notified, so that it frees its blocked commands.
        far.destroy();
      }
    }
  }

  /**
   * Cuts as soon as a Redis transaction or a PostgreSQL statement contains `command`; resolves after the cut.
   */
  cutAt(command: string, when: CutWhen): Promise<void> {
    return new Promise((resolve) => (this.#next = { command, when, done: resolve }));
  }

  #cutOff(asked: Buffer, near: Socket, far: Socket): void {
    const next = this.#next;
    if (next === undefined || !asked.includes(next.command)) return;
    this.#next = undefined;
    const cut = (): void => {
      this.cut("reset");
      next.done();
    };
    if (next.when === "asked") return cut();
    far.unpipe(near);
    let answer = "";
    far.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      // The answer of a Redis transaction: OK, QUEUED for each command, and then all results at once.
      if (!this.#isEnd(answer)) return;
      if (next.when === "answered") return cut();
      near.write("+OK\r\n", () => cut());
    });
    far.resume(); // it was paused when it was unpiped
  }

  /** Lets new connections pass again. */
  mend(): void {
    this.#cut = undefined;
  }

  close(): void {
    this.#cut = undefined;
    for (const pair of this.#pairs) for (const side of pair) side.destroy();
    this.#close();
  }
}
