import { describe, expect, test } from "vitest";
import {
  Event,
  getRunningLoop,
  Protocol,
  Queue,
  run,
  sleep,
  startServer,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import type { Server, Transport } from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";
import {
  clientsOf,
  local,
  openResources,
  openSockets,
  Peer,
  portOf,
  untilAlone,
  untilStill,
} from "./peer.ts";

/** Runs `body` with a peer, and checks that it leaves no client, resource or socket. */
async function withPeer(body: (peer: Peer) => Promise<Server>): Promise<void> {
  await run(async () => {
    const peer = await Peer.start();
    const server = await body(peer);
    server.close();
    await server.waitClosed();
    await peer[Symbol.asyncDispose]();
    await untilAlone();
    expect([clientsOf(server), openResources(), openSockets()]).toEqual([0, 0, 0]);
  });
}

const code = (error: unknown): string =>
  error === null ? "no error" : ((error as NodeJS.ErrnoException).code ?? (error as Error).message);

/** Records how its connection was lost. All protocols of a server share one queue. */
class Lossy extends Protocol {
  readonly losses: Queue<string>;
  transport!: Transport;
  keepsOpen = false;
  constructor(losses: Queue<string>) {
    super();
    this.losses = losses;
  }
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
  override eofReceived(): boolean {
    return this.keepsOpen;
  }
  override connectionLost(error: Error | null): void {
    this.losses.putNowait(code(error));
  }
}

/**
 * The possible errors for a peer that is reset after data was sent to it; Node's versions and systems differ.
 */
const RESET = ["ECONNRESET", "EPIPE"];

describe("half-open peers", () => {
  test("one that has finished is still answered", () =>
    withPeer(async (peer) => {
      const server = await startServer(async (reader, writer) => {
        const question = await reader.read();
        writer.write(`${question.toString()} answered`);
        writer.close();
      }, local);
      await peer.does("open", portOf(server), 3);
      await peer.does("write", "question");
      await peer.does("end");
      expect(await peer.does("readAll")).toBe(`read ${3 * "question answered".length}`);
      return server;
    }));

  test("one that never finishes does not keep a closed connection", () =>
    withPeer(async (peer) => {
      const closed = new Queue<boolean>();
      const server = await startServer(async (reader, writer) => {
        writer.write("bye");
        writer.close();
        await writer.waitClosed();
        closed.putNowait(reader.atEof());
      }, local);
      await peer.does("open", portOf(server), 3); // the peer never does anything else
      for (let i = 0; i < 3; i++) expect(await closed.get()).toBe(true);
      return server;
    }));

  test("one that stands still: a deadline lets go of it, with streams", () =>
    withPeer(async (peer) => {
      const outcome = new Queue<string>();
      const server = await startServer(async (reader, writer) => {
        try {
          await timeout(30, () => reader.readLine());
        } catch (error) {
          outcome.putNowait(error instanceof TimeoutError ? "timed out" : String(error));
          writer.transport.abort();
        }
      }, local);
      await peer.does("open", portOf(server), 3);
      await peer.does("write", "half_a_line");
      peer.process.sendSignal("SIGSTOP");
      for (let i = 0; i < 3; i++) expect(await outcome.get()).toBe("timed out");
      return server;
    }));

  test("one that stands still: a timer lets go of it, with protocols", () =>
    withPeer(async (peer) => {
      class Impatient extends Lossy {
        override connectionMade(transport: Transport): void {
          getRunningLoop().callLater(30, () => transport.abort());
        }
      }
      const losses = new Queue<string>();
      const server = await getRunningLoop().createServer(() => new Impatient(losses), local);
      await peer.does("open", portOf(server), 3);
      peer.process.sendSignal("SIGSTOP");
      for (let i = 0; i < 3; i++) expect(await losses.get()).toBe("no error");
      return server;
    }));

  test.each(["kill", "end"] as const)("one in the middle of a TLS handshake (%s)", (how) =>
    withPeer(async (peer) => {
      const server = await startServer(() => expect.unreachable(), {
        ...local,
        tls: { key, cert: certificate },
      });
      await peer.does("open", portOf(server), 20);
      await untilStill(peer, openSockets);
      if (how === "kill") peer.process.kill();
      else await peer.does("end");
      while (openSockets() > 0) await sleep(1);
      return server;
    }),
  );
});

describe("peers that reset", () => {
  test("streams: a read that waits fails with it", () =>
    withPeer(async (peer) => {
      const seen = new Queue<string>();
      const server = await startServer(async (reader, writer) => {
        seen.putNowait("begun");
        await reader.readLine().catch((error: unknown) => seen.putNowait(code(error)));
        await writer.waitClosed().catch((error: unknown) => seen.putNowait(code(error)));
      }, local);
      await peer.does("open", portOf(server), 1);
      expect(await seen.get()).toBe("begun");
      await peer.does("reset");
      expect(await seen.get()).toBe("ECONNRESET");
      expect(await seen.get()).toBe("ECONNRESET");
      return server;
    }));

  test("streams: a drain that waits fails with it", () =>
    withPeer(async (peer) => {
      const seen = new Queue<string>();
      let written = 0;
      const server = await startServer(async (_reader, writer) => {
        try {
          for (;;) {
            writer.write(Buffer.alloc(1 << 16));
            written++;
            await writer.drain();
          }
        } catch (error) {
          seen.putNowait(code(error));
        }
      }, local);
      await peer.does("open", portOf(server), 1);
      await untilStill(peer, () => written);
      await peer.does("reset");
      expect(RESET).toContain(await seen.get());
      return server;
    }));

  test("protocols: lost to the reset, whatever they were doing", () =>
    withPeer(async (peer) => {
      let paused = 0;
      class Writing extends Lossy {
        override connectionMade(transport: Transport): void {
          transport.write(Buffer.alloc(16 * 1024 * 1024));
        }
        override pauseWriting(): void {
          paused++;
        }
        override resumeWriting(): void {
          expect.unreachable("nothing was sent");
        }
      }
      const losses = new Queue<string>();
      const kinds = [new Lossy(losses), new Writing(losses)];
      const server = await getRunningLoop().createServer(() => kinds.shift()!, local);
      await peer.does("open", portOf(server), 1);
      await peer.does("open", portOf(server), 1);
      await untilStill(peer, () => paused);
      expect(paused).toBe(1);
      await peer.does("reset");
      for (let i = 0; i < 2; i++) expect(RESET).toContain(await losses.get());
      return server;
    }));
});

describe("clients that vanish", () => {
  const COUNT = 100;

  test("streams: every handler is told, and nothing is left", () =>
    withPeer(async (peer) => {
      const reading = new Queue<string>();
      const ended = new Queue<null>();
      const server = await startServer(async (reader, writer) => {
        try {
          reading.putNowait((await reader.readLine()).toString());
          await reader.readLine();
        } finally {
          writer.close();
          ended.putNowait(null);
        }
      }, local);
      await peer.does("open", portOf(server), COUNT);
      await peer.does("write", "request\\nhalf_of_another");
      for (let i = 0; i < COUNT; i++) expect(await reading.get()).toBe("request\n");
      peer.process.kill();
      for (let i = 0; i < COUNT; i++) await ended.get();
      return server;
    }));

  test("streams: a handler that only writes is told by its drain", () =>
    withPeer(async (peer) => {
      const seen = new Queue<string>();
      const server = await startServer(async (_reader, writer) => {
        try {
          for (;;) {
            writer.write("tick\n");
            await writer.drain();
            await sleep(1);
          }
        } catch (error) {
          seen.putNowait(code(error));
        }
      }, local);
      await peer.does("open", portOf(server), COUNT);
      await peer.does("hello");
      peer.process.kill();
      for (let i = 0; i < COUNT; i++) expect([...RESET, "CONNECTION_LOST"]).toContain(await seen.get());
      return server;
    }));

  test("protocols: every one is told, once, and nothing is left", () =>
    withPeer(async (peer) => {
      const losses = new Queue<string>();
      const made: Lossy[] = [];
      const server = await getRunningLoop().createServer(() => {
        const protocol = new Lossy(losses);
        made.push(protocol);
        return protocol;
      }, local);
      await peer.does("open", portOf(server), COUNT);
      await peer.does("write", "half_a_request");
      while (made.length < COUNT) await sleep(1);
      peer.process.kill();
      for (let i = 0; i < COUNT; i++) await losses.get();
      await using other = await Peer.start();
      await untilStill(other, () => losses.qsize());
      expect(losses.empty()).toBe(true);
      expect(made.every((protocol) => protocol.transport.isClosing())).toBe(true);
      return server;
    }));
});

describe("a server that is closed under load", () => {
  const COUNT = 50;
  const ROUNDS = 20;
  const echoes: [name: string, serve: (first: Event) => PromiseLike<Server>][] = [
    [
      "streams",
      (first) =>
        startServer(async (reader, writer) => {
          for (let data; (data = await reader.read(1000)).length > 0;) {
            first.set();
            await sleep(1); // the request takes some time
            writer.write(data);
            await writer.drain();
          }
          writer.close();
        }, local),
    ],
    [
      "protocols",
      (first) => {
        class Echo extends Protocol {
          #transport!: Transport;
          override connectionMade(transport: Transport): void {
            this.#transport = transport;
          }
          override dataReceived(data: Buffer): void {
            first.set();
            getRunningLoop().callLater(1, () => this.#transport.write(data));
          }
        }
        return getRunningLoop().createServer(() => new Echo(), local);
      },
    ],
  ];

  test.each(echoes)("%s: it finishes what it has, and refuses the rest", (_name, serve) =>
    withPeer(async (peer) => {
      const first = new Event();
      const server = await serve(first);
      const port = portOf(server);
      expect(await peer.does("open", port, COUNT)).toBe(`open ${COUNT}`);
      for (let i = 0; i < ROUNDS; i++) peer.tell("echo", "request");
      await first.wait();
      while (clientsOf(server) < COUNT) await sleep(1); // Node accepts one connection in each turn
      server.close(); // while requests are running
      await using late = await Peer.start();
      expect(await late.does("open", port, 1)).toBe("cannot ECONNREFUSED");
      for (let i = 0; i < ROUNDS; i++) expect(await peer.answer()).toBe(`echoed ${COUNT}`);
      expect(clientsOf(server)).toBe(COUNT);
      await peer.does("end");
      return server;
    }),
  );
});
