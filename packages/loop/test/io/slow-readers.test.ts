import { describe, expect, test } from "vitest";
import {
  createTask,
  Event,
  Future,
  getRunningLoop,
  openConnection,
  Protocol,
  run,
  startServer,
} from "@taskloom/loop";
import type { StreamReader, StreamWriter, Transport } from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";
import { clientsOf, local, openSockets, Peer, portOf, untilAlone, untilStill } from "./peer.ts";

const PIECE = 64 * 1024;
const TOTAL = 512 * 1024 * 1024;
const PIECES = TOTAL / PIECE;
const HIGH = 64 * 1024;
/** The limits of the write buffer, and of the growth of the process by garbage that is not collected yet. */
const MOST_BUFFERED = HIGH + PIECE;
const MOST_GROWTH = TOTAL / 2;

/** Sends TOTAL bytes of fresh memory, and pauses as flow control demands. */
class Pouring extends Protocol {
  transport!: Transport;
  sent = 0;
  largest = 0;
  #isPaused = false;
  readonly lost = new Event();
  override connectionMade(transport: Transport): void {
    this.transport = transport;
    this.#pour();
  }
  #pour(): void {
    while (!this.#isPaused && this.sent < TOTAL) {
      this.sent += PIECE;
      this.transport.write(Buffer.alloc(PIECE, this.sent));
      this.largest = Math.max(this.largest, this.transport.getWriteBufferSize());
    }
    if (this.sent >= TOTAL) this.transport.close();
  }
  override pauseWriting(): void {
    this.#isPaused = true;
  }
  override resumeWriting(): void {
    this.#isPaused = false;
    this.#pour();
  }
  override connectionLost(): void {
    this.lost.set();
  }
}

/** The same sender with streams. */
class Streaming {
  sent = 0;
  largest = 0;
  transport!: Transport;
  readonly lost = new Event();
  async serve(_reader: StreamReader, writer: StreamWriter): Promise<void> {
    this.transport = writer.transport;
    try {
      for (let i = 0; i < PIECES; i++) {
        this.sent += PIECE;
        writer.write(Buffer.alloc(PIECE, i));
        this.largest = Math.max(this.largest, this.transport.getWriteBufferSize());
        await writer.drain();
      }
      writer.close();
      await writer.waitClosed();
    } finally {
      this.lost.set();
    }
  }
}

const writers = {
  async streams() {
    const streaming = new Streaming();
    const server = await startServer((reader, writer) => streaming.serve(reader, writer), local);
    return { writer: streaming, server };
  },
  async protocols() {
    const pouring = new Pouring();
    const server = await getRunningLoop().createServer(() => pouring, local);
    return { writer: pouring, server };
  },
};

describe.each(Object.entries(writers))("%s: a peer that does not read", (_name, start) => {
  test("holds its writer up; then it gets all of it, and memory has not grown with it", async () => {
    await run(async () => {
      const { writer, server } = await start();
      await using peer = await Peer.start();
      const before = process.memoryUsage.rss();
      await peer.does("open", portOf(server), 1);
      const standsAt = await untilStill(peer, () => writer.sent);
      expect(standsAt).toBeLessThan(TOTAL / 4); // the buffers of the system and of this process
      expect(writer.transport.getWriteBufferSize()).toBeGreaterThan(0);
      expect(writer.transport.getWriteBufferSize()).toBeLessThanOrEqual(MOST_BUFFERED);

      let largestGrowth = 0;
      const watching = setInterval(() => {
        largestGrowth = Math.max(largestGrowth, process.memoryUsage.rss() - before);
      }, 5);
      expect(await peer.does("readAll")).toBe(`read ${TOTAL}`);
      clearInterval(watching);
      expect(writer.sent).toBe(TOTAL);
      expect(writer.largest).toBeLessThanOrEqual(MOST_BUFFERED);
      expect(largestGrowth).toBeLessThan(MOST_GROWTH);
      await peer.does("destroy");
      server.close();
      await server.waitClosed();
    });
  });

  test("and then vanishes: the writer is told, and nothing is left", async () => {
    await run(async () => {
      const { writer, server } = await start();
      await using peer = await Peer.start();
      getRunningLoop().setExceptionHandler(() => {}); // a stream's handler fails with the reset, as expected
      await peer.does("open", portOf(server), 1);
      await untilStill(peer, () => writer.sent);
      peer.process.kill();
      await writer.lost.wait();
      expect(writer.sent).toBeLessThan(TOTAL / 4);
      server.close();
      await server.waitClosed();
      await peer.process.wait();
      await untilAlone();
      expect(clientsOf(server)).toBe(0);
      expect(openSockets()).toBe(0);
    });
  });

  test("closing waits for it for ever, aborting does not", async () => {
    await run(async () => {
      const { writer, server } = await start();
      await using peer = await Peer.start();
      getRunningLoop().setExceptionHandler(() => {});
      await peer.does("open", portOf(server), 1);
      await untilStill(peer, () => writer.sent);
      server.close();
      const waiting = createTask(server.waitClosed());
      server.closeClients();
      await untilStill(peer, () => clientsOf(server));
      expect(waiting.done()).toBe(false);
      server.abortClients();
      await waiting;
      await writer.lost.wait();
    });
  });
});

describe("a peer that floods", () => {
  test("streams: it is held up at twice the reader's limit, and all of it can be read", async () => {
    await run(async () => {
      const reading = new Future<[StreamReader, StreamWriter]>();
      const server = await startServer((reader, writer) => reading.setResult([reader, writer]), {
        ...local,
        limit: PIECE,
      });
      await using peer = await Peer.start();
      await using other = await Peer.start();
      const before = process.memoryUsage.rss();
      await peer.does("open", portOf(server), 1);
      peer.tell("flood", TOTAL);
      const [reader, writer] = await reading;
      const standsAt = await untilStill(other, () => reader._buffer.size);
      expect(standsAt).toBeGreaterThan(2 * PIECE);
      expect(standsAt).toBeLessThanOrEqual(2 * PIECE + PIECE); // one read of the system returns at most a piece
      expect(writer.transport.isReading()).toBe(false);

      let largest = 0;
      for (let received = 0; received < TOTAL;) {
        received += (await reader.read(1 << 20)).length;
        largest = Math.max(largest, reader._buffer.size);
      }
      expect(largest).toBeLessThanOrEqual(3 * PIECE);
      expect(process.memoryUsage.rss() - before).toBeLessThan(MOST_GROWTH);
      expect(await peer.answer()).toBe("flooded");
      writer.close();
      await peer.does("destroy");
      server.close();
      await server.waitClosed();
    });
  });

  test("protocols: pauseReading holds it up, resumeReading lets it go on", async () => {
    class Careful extends Protocol {
      transport!: Transport;
      received = 0;
      readonly complete = new Event();
      override connectionMade(transport: Transport): void {
        this.transport = transport;
      }
      override dataReceived(data: Buffer): void {
        const isFirst = this.received === 0;
        this.received += data.length;
        if (isFirst) this.transport.pauseReading();
        if (this.received >= TOTAL) this.complete.set();
      }
    }
    await run(async () => {
      const careful = new Careful();
      const server = await getRunningLoop().createServer(() => careful, local);
      await using peer = await Peer.start();
      await using other = await Peer.start();
      await peer.does("open", portOf(server), 1);
      peer.tell("flood", TOTAL);
      const standsAt = await untilStill(other, () => careful.received);
      expect(standsAt).toBeLessThanOrEqual(PIECE);
      careful.transport.resumeReading();
      await careful.complete.wait();
      expect(await peer.answer()).toBe("flooded");
      await peer.does("destroy");
      server.close();
      await server.waitClosed();
    });
  });

  test("one line without an end: the limit ends it, and the connection goes on or is closed", async () => {
    await run(async () => {
      const seen: unknown[] = [];
      const ended = new Event();
      const server = await startServer(
        async (reader, writer) => {
          for (;;) {
            try {
              const line = await reader.readLine();
              if (line.length === 0) break;
              seen.push(line.length);
            } catch (error) {
              seen.push((error as { code?: string }).code);
              if (seen.length === 5) break;
            }
          }
          writer.close();
          await writer.waitClosed();
          ended.set();
        },
        { ...local, limit: 1000 },
      );
      await using peer = await Peer.start();
      await peer.does("open", portOf(server), 1);
      peer.tell("flood", TOTAL); // the data has no newline
      await ended.wait();
      expect(seen).toEqual(Array(5).fill("LIMIT_OVERRUN"));
      expect(await peer.answer()).toBe("flooded"); // the connection was closed
      server.close();
      await server.waitClosed();
    });
  });
});

test("over TLS too a peer that does not read holds its writer up", async () => {
  await run(async () => {
    const streaming = new Streaming();
    const server = await startServer((reader, writer) => streaming.serve(reader, writer), {
      ...local,
      tls: { key, cert: certificate },
    });
    const tls = { ca: certificate, servername: "localhost" };
    const { reader, writer } = await openConnection({ ...local, port: portOf(server), tls });
    await using peer = await Peer.start();
    const before = process.memoryUsage.rss();
    const standsAt = await untilStill(peer, () => streaming.sent);
    expect(standsAt).toBeLessThan(TOTAL / 4);
    expect(reader._buffer.size).toBeLessThanOrEqual(3 * PIECE);
    let received = 0;
    while (received < standsAt + 32 * PIECE) received += (await reader.readExactly(PIECE)).length;
    expect(streaming.largest).toBeLessThanOrEqual(MOST_BUFFERED + PIECE); // encrypted data counts as well
    expect(process.memoryUsage.rss() - before).toBeLessThan(MOST_GROWTH);
    getRunningLoop().setExceptionHandler(() => {});
    writer.transport.abort();
    await streaming.lost.wait();
    server.close();
    await server.waitClosed();
  });
});
