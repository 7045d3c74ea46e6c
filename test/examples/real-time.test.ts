import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { createInterface } from "node:readline";
import { createTask, Future, run, timeout } from "@taskloom/loop";
import { expect, test } from "vitest";
import * as urls from "../../examples/fetch-several-urls.ts";
import * as commandServer from "../../examples/tcp-command-server.ts";
import * as toThread from "../../examples/to-thread.ts";
import { outputOf } from "./output.ts";

test("blocking work in place and on threads", async () => {
  const [inPlace, onThreads] = await outputOf(() => run(() => toThread.main(700)));
  // In place nothing else runs meanwhile. On threads the loop's heart beats, and each job has its own thread.
  expect(inPlace).toMatch(/^in place: (2\.[1-9]|[3-9]\.\d|\d\d\.\d) s, threads 0 0 0, [01] heartbeats$/);
  const match = /^on a thread: \d+\.\d s, threads (\d+) (\d+) (\d+), (\d+) heartbeats$/.exec(onThreads ?? "");
  const threads = new Set(match?.slice(1, 4));
  expect(threads).not.toContain("0");
  expect(threads.size).toBe(3);
  expect(Number(match?.[4])).toBeGreaterThan(1);
});

test("several URLs at once: every request is under way before the first is answered", async () => {
  const waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    waiting.push(() => response.end(`This is ${request.url}`));
    if (waiting.length === 3) for (const answer of waiting.toReversed()) answer();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const pages = ["one", "two", "three"].map((page) => `http://127.0.0.1:${port}/${page}`);
  expect(await outputOf(() => run(() => urls.main(pages)))).toEqual([
    "This is /one",
    "This is /two",
    "This is /three",
  ]);
  server.closeAllConnections();
  server.close();
});

/** A raw client: sends pieces, and returns the received lines. */
class Client {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;
  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.setNoDelay(true);
    this.#lines = createInterface({ input: this.#socket })[Symbol.asyncIterator]();
  }
  async ask(...pieces: string[]): Promise<string | undefined> {
    for (const piece of pieces) {
      this.#socket.write(piece);
      if (pieces.length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return await this.next();
  }
  async next(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done === true ? undefined : value;
  }
}

test("the TCP command server, driven by a real socket client", async () => {
  const lines = await outputOf(() =>
    run(async () => {
      const listening = new Future<number>();
      const log = console.log;
      console.log = (text: string) => {
        listening.setResult(Number(/^Serving on .*:(\d+)$/.exec(text)?.[1]));
        console.log = log;
        log(text);
      };
      const serving = createTask(commandServer.main({ host: "127.0.0.1" }));
      const port = await listening;
      await timeout(10_000, async () => {
        const client = new Client(port);
        expect(await client.ask("add 5\n")).toBe("Current total: 5");
        expect(await client.ask("ad", "d 1", "0\r\n")).toBe("Current total: 15");
        expect(await client.ask("multiply -3\n")).toBe("Current total after multiplication: -45");
        expect(await client.ask("\n\nadd\n")).toBe("Invalid add command. Usage: add <number>");
        expect(await client.ask("multiply x\n")).toBe("Invalid multiply command. Usage: multiply <number>");
        expect(await client.ask("reset\nadd 1\n")).toBe("Total has been reset to 0.");
        expect(await client.next()).toBe("Current total: 1");
        expect(await client.ask("subtract 1\n")).toMatch(
          /^Unknown command. Available commands: add <number>/,
        );
        const other = new Client(port);
        expect(await other.ask("add 2\n")).toBe("Current total: 2"); // this connection has its own total
        expect(await client.ask("shutdown\n")).toBeUndefined();
        expect(await other.next()).toBeUndefined();
        await serving;
      });
      await expect(
        new Promise((resolve, reject) =>
          connect(port, "127.0.0.1", resolve as () => void).once("error", reject),
        ),
      ).rejects.toMatchObject({ code: "ECONNREFUSED" });
    }),
  );
  expect(lines[0]).toMatch(/^Serving on 127\.0\.0\.1:\d+$/);
  expect(lines.slice(1)).toEqual([
    "Connection from 127.0.0.1",
    "Connection from 127.0.0.1",
    "Shutting down the server...",
    "Connection closed",
    "Connection closed",
  ]);
});
