import { connect } from "node:net";
import type { Socket } from "node:net";
import { PassThrough, Readable, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import {
  CancelledError,
  createTask,
  currentTask,
  Event,
  getRunningLoop,
  Protocol,
  Queue,
  run,
  sleep,
} from "@taskloom/loop";
import type { Server, Transport } from "@taskloom/loop";

/** A protocol that records its calls. */
class Recorder extends Protocol {
  readonly calls: string[] = [];
  readonly events = new Queue<string>();
  transport!: Transport;
  keepsOpen = false;

  #saw(call: string): void {
    this.calls.push(call);
    this.events.putNowait(call);
  }
  override connectionMade(transport: Transport): void {
    this.transport = transport;
    this.#saw("made");
  }
  override dataReceived(data: Buffer): void {
    this.#saw(`data ${data.length > 40 ? data.length : data.toString()}`);
  }
  override eofReceived(): boolean {
    this.#saw("eof");
    return this.keepsOpen;
  }
  override pauseWriting(): void {
    this.#saw("pause");
  }
  override resumeWriting(): void {
    this.#saw("resume");
  }
  override connectionLost(error: Error | null): void {
    this.#saw(`lost ${error === null ? "null" : (error as NodeJS.ErrnoException).code}`);
  }
  async until(call: string): Promise<void> {
    while ((await this.events.get()) !== call);
  }
}

const local = { host: "127.0.0.1" };
const portOf = (server: Server): number => server.sockets()[0]!.port;

async function served(
  body: (recorder: Recorder, socket: Socket, server: Server) => Promise<void>,
): Promise<void> {
  await run(async () => {
    const made = new Queue<Recorder>();
    const server = await getRunningLoop().createServer(() => {
      const recorder = new Recorder();
      made.putNowait(recorder);
      return recorder;
    }, local);
    const socket = connect({ ...local, port: portOf(server), allowHalfOpen: true });
    socket.on("error", () => {});
    const recorder = await made.get();
    await recorder.until("made");
    await body(recorder, socket, server);
    socket.destroy();
    server.close();
    await server.waitClosed();
  });
}

test("the calls of a connection, in order", async () => {
  await served(async (recorder, socket) => {
    socket.write("hello");
    await recorder.until("data hello");
    socket.end();
    await recorder.until("lost null");
    expect(recorder.calls).toEqual(["made", "data hello", "eof", "lost null"]);
    expect(recorder.transport.isClosing()).toBe(true);
  });
});

test("a protocol that keeps the connection open may still answer after the other's end", async () => {
  await served(async (recorder, socket) => {
    recorder.keepsOpen = true;
    socket.end("question");
    await recorder.until("eof");
    const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
    recorder.transport.write("answer");
    recorder.transport.writeEof();
    expect(await answer).toBe("answer");
    expect(() => recorder.transport.write("more")).toThrow(/Cannot write after writeEof/);
    recorder.transport.close();
    await recorder.until("lost null");
  });
});

test("a reset connection is lost to the reset", async () => {
  await served(async (recorder, socket) => {
    socket.resetAndDestroy();
    await recorder.until("lost ECONNRESET");
    expect(recorder.calls).toEqual(["made", "lost ECONNRESET"]);
  });
});

test("callbacks run in their loop and in no task, wherever the connection was made", async () => {
  class Asking extends Protocol {
    readonly told = new Event();
    seen: unknown[] = [];
    override connectionMade(): void {
      this.seen.push(currentTask(), getRunningLoop());
    }
    override dataReceived(): void {
      this.seen.push(currentTask(), getRunningLoop());
      createTask(async () => this.told.set());
    }
  }
  await run(async () => {
    const loop = getRunningLoop();
    const serving = new Asking();
    const server = await loop.createServer(() => serving, local);
    const [transport, client] = await loop.createConnection(() => new Asking(), {
      ...local,
      port: portOf(server),
    });
    transport.write("x");
    await serving.told.wait();
    expect(client.seen).toEqual([null, loop]);
    expect(serving.seen).toEqual([null, loop, null, loop]);
    transport.close();
    server.close();
    await server.waitClosed();
  });
});

describe("flow control", () => {
  test("writing is paused above the high mark and resumed at the low one", async () => {
    await served(async (recorder, socket) => {
      const { transport } = recorder;
      expect(transport.getWriteBufferLimits()).toEqual({ low: 16 * 1024, high: 64 * 1024 });
      transport.setWriteBufferLimits({ high: 4000 });
      expect(transport.getWriteBufferLimits()).toEqual({ low: 1000, high: 4000 });
      expect(() => transport.setWriteBufferLimits({ high: 1, low: 2 })).toThrow(/`high` >= `low` >= 0/);
      socket.pause();
      const chunk = Buffer.alloc(256 * 1024);
      let sent = 0;
      while (!recorder.calls.includes("pause")) {
        transport.write(chunk);
        sent += chunk.length;
        await sleep(0);
      }
      expect(transport.getWriteBufferSize()).toBeGreaterThan(4000);
      let received = 0;
      const all = new Promise<void>((resolve) => {
        socket.on("data", (data) => {
          received += data.length;
          if (received === sent) resolve();
        });
      });
      socket.resume();
      await recorder.until("resume");
      expect(transport.getWriteBufferSize()).toBeLessThanOrEqual(1000);
      await all;
      expect(recorder.calls.filter((call) => call === "pause")).toHaveLength(1);
    });
  });

  test("reading can be paused", async () => {
    await served(async (recorder, socket) => {
      recorder.transport.pauseReading();
      expect(recorder.transport.isReading()).toBe(false);
      socket.write("held back");
      await sleep(30);
      expect(recorder.calls).toEqual(["made"]);
      recorder.transport.resumeReading();
      await recorder.until("data held back");
      expect(recorder.transport.isReading()).toBe(true);
    });
  });

  test("close sends what is in the buffer first; abort does not", async () => {
    await served(async (recorder, socket) => {
      const big = Buffer.alloc(4 * 1024 * 1024);
      let received = 0;
      socket.on("data", (data) => (received += data.length));
      const ended = new Promise((resolve) => socket.once("end", resolve));
      recorder.transport.write(big);
      recorder.transport.close();
      recorder.transport.write("dropped");
      await recorder.until("lost null");
      await ended;
      expect(received).toBe(big.length);
    });
    await served(async (recorder, socket) => {
      socket.pause();
      recorder.transport.write(Buffer.alloc(8 * 1024 * 1024));
      recorder.transport.abort();
      await recorder.until("lost null");
    });
  });
});

describe("bad input and failing protocols", () => {
  test("only strings and bytes can be written", async () => {
    await served(async (recorder) => {
      expect(() => recorder.transport.write(42 as never)).toThrow(
        /Expected `data` to be a string or bytes, got 42/,
      );
    });
  });

  test("a protocol that throws loses its connection, and the handler is told", async () => {
    class Broken extends Recorder {
      override dataReceived(): void {
        throw new RangeError("cannot parse this");
      }
    }
    await run(async () => {
      const loop = getRunningLoop();
      const contexts: { message: string; exception?: unknown }[] = [];
      loop.setExceptionHandler((_loop, context) => contexts.push(context));
      const broken = new Broken();
      const server = await loop.createServer(() => broken, local);
      const [transport] = await loop.createConnection(() => new Protocol(), {
        ...local,
        port: portOf(server),
      });
      transport.write("x");
      await broken.until("made");
      while (broken.calls.length < 2) await sleep(1);
      expect(broken.calls[1]).toMatch(/^lost/);
      expect(contexts[0]).toMatchObject({ message: "Fatal error: protocol.dataReceived() failed" });
      expect(String(contexts[0]?.exception)).toBe("RangeError: cannot parse this");
      transport.close();
      server.close();
    });
  });
});

describe("a server", () => {
  test("serveForever ends with a CancelledError when it is closed, and closes when it is cancelled", async () => {
    await run(async () => {
      const loop = getRunningLoop();
      const closed = await loop.createServer(() => new Protocol(), { ...local, startServing: false });
      expect(closed.isServing()).toBe(false);
      const serving = createTask(closed.serveForever());
      while (!closed.isServing()) await sleep(1);
      await expect(closed.serveForever()).rejects.toMatchObject({ code: "ALREADY_SERVING" });
      closed.close();
      await expect(serving).rejects.toBeInstanceOf(CancelledError);
      expect(closed.sockets()).toEqual([]);

      const cancelled = await loop.createServer(() => new Protocol(), local);
      const task = createTask(cancelled.serveForever());
      await sleep(0);
      task.cancel();
      await expect(task).rejects.toBeInstanceOf(CancelledError);
      expect(cancelled.isServing()).toBe(false);
    });
  });

  test("closed, it finishes what it has and refuses the rest; closeClients ends that too", async () => {
    await served(async (recorder, socket, server) => {
      const port = portOf(server);
      server.close();
      const refused = connect(port, "127.0.0.1");
      const error = await new Promise<NodeJS.ErrnoException>((resolve) => refused.once("error", resolve));
      expect(error.code).toBe("ECONNREFUSED");
      socket.write("still here");
      await recorder.until("data still here");
      const waiting = createTask(server.waitClosed());
      await sleep(1);
      expect(waiting.done()).toBe(false);
      server.closeClients();
      await recorder.until("lost null");
      await waiting;
    });
  });

  test("it can listen at several hosts", async () => {
    await run(async () => {
      const server = await getRunningLoop().createServer(() => new Protocol(), {
        host: ["127.0.0.1", "127.0.0.2"],
      });
      expect(server.sockets().map((at) => at.address)).toEqual(["127.0.0.1", "127.0.0.2"]);
      server.close();
      await server.waitClosed();
    });
  });
});

test("any Node stream can be a pipe", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const stream = new PassThrough();
    const recorder = new Recorder();
    await loop.connectReadPipe(() => recorder, stream);
    const [writing] = await loop.connectWritePipe(() => new Protocol(), new PassThrough());
    writing.write("into the void");
    stream.end("from a stream");
    await recorder.until("lost null");
    expect(recorder.calls).toEqual(["made", "data from a stream", "eof", "lost null"]);
    writing.abort();
  });
});

test("a stream that is only read from, and one that is only written to", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const reading = new Recorder();
    const source = new Readable({ read() {} });
    const [input] = await loop.connectReadPipe(() => reading, source);
    source.push("one");
    await reading.until("data one");
    expect(() => input.write("x")).toThrow(/read-only pipe/);
    input.pauseReading();
    input.resumeReading();
    input.close();
    await reading.until("lost null");

    const written: string[] = [];
    const writing = new Recorder();
    const sink = new Writable({
      write(chunk, _encoding, done) {
        setImmediate(() => {
          written.push(String(chunk));
          done();
        });
      },
    });
    const [output] = await loop.connectWritePipe(() => writing, sink);
    output.pauseReading();
    output.resumeReading();
    for (const piece of ["one", "two", "three"]) output.write(piece);
    output.close();
    await writing.until("lost null");
    expect(written).toEqual(["one", "two", "three"]);
    expect(loop._resources.size).toBe(0);
  });
});

test("a connection over a stream that is closed already is lost at once", async () => {
  await run(async () => {
    const stream = new PassThrough();
    stream.destroy();
    while (!stream.closed) await sleep(0);
    const recorder = new Recorder();
    await getRunningLoop().createConnection(() => recorder, { socket: stream });
    await recorder.until("lost null");
    expect(recorder.calls).toEqual(["made", "lost null"]);
  });
});
