import { connect } from "node:net";
import { mkdtempSync, rmSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  CancelledError,
  createTask,
  currentTask,
  Event,
  gather,
  getRunningLoop,
  openConnection,
  run,
  sleep,
  startServer,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import type { Server, Task } from "@taskloom/loop";

const local = { host: "127.0.0.1" };
const portOf = (server: Server): number => server.sockets()[0]!.port;

test("lines go to a server and back, handlers in either spelling", async () => {
  await run(async () => {
    const asyncServer = await startServer(async (reader, writer) => {
      for await (const line of reader) {
        writer.write(line.toString().toUpperCase());
        await writer.drain();
      }
      writer.close();
    }, local);
    const generatorServer = await startServer(function* (reader, writer) {
      for (;;) {
        const line = yield* reader.readLine();
        if (line.length === 0) break;
        writer.write(line.toString().toUpperCase());
        yield* writer.drain();
      }
      writer.close();
    }, local);
    for (const server of [asyncServer, generatorServer]) {
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      writer.write("one\ntwo\n");
      expect((await reader.readLine()).toString()).toBe("ONE\n");
      writer.writeLines(["thr", Buffer.from("ee\n")]);
      expect((await reader.readLine()).toString()).toBe("TWO\n");
      expect((await reader.readLine()).toString()).toBe("THREE\n");
      writer.writeEof();
      expect((await reader.read()).length).toBe(0);
      expect(reader.atEof()).toBe(true);
      writer.close();
      await writer.waitClosed();
      server.close();
      await server.waitClosed();
    }
  });
});

test("a generator main talks over a Unix socket, and the socket's file goes with the server", async () => {
  const folder = mkdtempSync(join(tmpdir(), "taskloom-"));
  const path = join(folder, "echo.sock");
  try {
    await run(function* () {
      const server = yield* startServer(
        function* (reader, writer) {
          writer.write(yield* reader.read());
          writer.close();
        },
        { path },
      );
      expect(server.sockets()).toEqual([{ family: "unix", address: path, port: 0 }]);
      const { reader, writer } = yield* openConnection({ path });
      writer.write("over the file system");
      writer.writeEof();
      expect((yield* reader.read()).toString()).toBe("over the file system");
      writer.close();
      server.close();
      yield* server.waitClosed();
    });
    expect(existsSync(path)).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("both ends know each other's addresses", async () => {
  await run(async () => {
    const seen: unknown[] = [];
    const server = await startServer((_reader, writer) => {
      seen.push(writer.getExtraInfo("peername"), writer.getExtraInfo("sockname"));
      writer.close();
    }, local);
    const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
    const own = writer.getExtraInfo("sockname");
    expect(writer.getExtraInfo("peername")).toEqual(server.sockets()[0]);
    await reader.read();
    expect(seen).toEqual([own, server.sockets()[0]]);
    writer.close();
    server.close();
  });
});

describe("cancellation", () => {
  test("a read that is cancelled loses nothing", async () => {
    await run(async () => {
      const go = new Event();
      const server = await startServer(async (_reader, writer) => {
        writer.write("first half ");
        await go.wait();
        writer.write("second half\n");
        writer.close();
      }, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      await expect(timeout(30, () => reader.readLine())).rejects.toBeInstanceOf(TimeoutError);
      await expect(timeout(30, () => reader.read())).rejects.toBeInstanceOf(TimeoutError);
      await expect(reader.readLine({ signal: AbortSignal.timeout(30) })).rejects.toBeInstanceOf(
        CancelledError,
      );
      go.set();
      expect((await reader.readLine()).toString()).toBe("first half second half\n");
      writer.close();
      server.close();
      await server.waitClosed();
    });
  });

  test("connecting can be given up, and the socket goes", async () => {
    await run(async () => {
      // This server does not speak TLS, so the handshake never ends.
      const server = await startServer(async (reader, writer) => {
        await reader.read();
        writer.close();
      }, local);
      const before = getRunningLoop()._resources.size;
      const task = createTask(openConnection({ ...local, port: portOf(server), tls: true }));
      await sleep(20); // the client is connected, and waits for a handshake that never ends
      task.cancel("changed my mind");
      await expect(task).rejects.toThrow("changed my mind");
      await expect(
        openConnection({ ...local, port: portOf(server), tls: true, signal: AbortSignal.timeout(20) }),
      ).rejects.toBeInstanceOf(CancelledError);
      server.close();
      await server.waitClosed(); // the clients are disconnected
      expect(getRunningLoop()._resources.size).toBe(before - 1);
    });
  });

  test("a handler that is cancelled closes its connection", async () => {
    await run(async () => {
      const handlers: Task[] = [];
      const server = await startServer(async (reader) => {
        handlers.push(currentTask()!);
        await reader.read();
      }, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      while (handlers.length === 0) await sleep(1);
      handlers[0]!.cancel();
      expect((await reader.read()).length).toBe(0);
      writer.close();
      server.close();
      await server.waitClosed();
    });
  });
});

describe("errors", () => {
  test("nobody listens: Node's error, as it is", async () => {
    await run(async () => {
      const server = await startServer(() => {}, local);
      const port = portOf(server);
      server.close();
      await server.waitClosed();
      await expect(openConnection({ ...local, port })).rejects.toMatchObject({ code: "ECONNREFUSED" });
      await expect(openConnection({ path: "/nowhere/at/all" })).rejects.toMatchObject({ code: "ENOENT" });
      await expect(openConnection({ host: "127.0.0.1" })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    });
  });

  test("a port that is taken", async () => {
    await run(async () => {
      const server = await startServer(() => {}, local);
      await expect(startServer(() => {}, { ...local, port: portOf(server) })).rejects.toMatchObject({
        code: "EADDRINUSE",
      });
      server.close();
      await server.waitClosed();
      await expect(server.startServing()).rejects.toMatchObject({ code: "SERVER_CLOSED" });
    });
  });

  test("a handler's error reaches the exception handler, and its client gets the end", async () => {
    await run(async () => {
      const messages: string[] = [];
      getRunningLoop().setExceptionHandler((_loop, context) => messages.push(context.message));
      const server = await startServer(async () => {
        throw new RangeError("the handler's");
      }, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      expect((await reader.read()).length).toBe(0);
      expect(messages).toEqual(["Unhandled exception in client_connected_cb"]);
      writer.close();
      server.close();
    });
  });

  test("two tasks cannot wait for data of one stream", async () => {
    await run(async () => {
      const server = await startServer(() => {}, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      const first = createTask(reader.read(1));
      await sleep(0);
      await expect(reader.read(1)).rejects.toMatchObject({ code: "READER_BUSY" });
      first.cancel();
      writer.close();
      server.close();
    });
  });

  test("a peer that resets the connection: reads and drains fail with what happened", async ({ skip }) => {
    const reportsResets = Number.parseInt(process.versions.node, 10) >= 24;
    skip(!reportsResets, "Node 22 itself reports a reset after a write as an end: no error to pass on");
    await run(async () => {
      const outcome = createOutcome();
      const server = await startServer(async (reader, writer) => {
        await outcome.catching(reader.readExactly(100));
        await outcome.catching(writer.drain());
        await outcome.catching(writer.waitClosed());
        outcome.done();
      }, local);
      const socket = connect(portOf(server), "127.0.0.1", () => {
        socket.write("a few bytes", () => socket.resetAndDestroy());
      });
      await outcome.event.wait();
      expect(outcome.codes).toEqual(["ECONNRESET", "ECONNRESET", "ECONNRESET"]);
      server.close();
      await server.waitClosed();
    });
  });

  test("writing to a connection that is gone: drain says so in the end", async () => {
    await run(async () => {
      const server = await startServer((_reader, writer) => writer.close(), local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      await reader.read();
      writer.close();
      await writer.waitClosed();
      writer.write("dropped");
      await expect(writer.drain()).rejects.toMatchObject({ code: "CONNECTION_LOST" });
      server.close();
    });
  });
});

test("drain holds a fast writer to the pace of a slow reader", async () => {
  await run(async () => {
    const chunk = Buffer.alloc(64 * 1024);
    const total = 64;
    let written = 0;
    const server = await startServer(async (_reader, writer) => {
      for (let i = 0; i < total; i++) {
        writer.write(chunk);
        await writer.drain();
        written++;
      }
      writer.close();
    }, local);
    const { reader, writer } = await openConnection({ ...local, port: portOf(server), limit: 16 * 1024 });
    // No task reads. The data in flight is bounded by the buffers on the way.
    let before = -1;
    while (before !== written) {
      before = written;
      await sleep(50);
    }
    const stoodAt = written;
    const all = await reader.read();
    expect(all.length).toBe(total * chunk.length);
    expect(written).toBe(total);
    expect(stoodAt).toBeLessThan(total);
    writer.close();
    server.close();
    await server.waitClosed();
  });
});

test("a run that ends closes what is open, and the process may end", async () => {
  const closed: string[] = [];
  await run(async () => {
    const server = await startServer(async (reader) => {
      await reader.read();
    }, local);
    const socket = connect(portOf(server), "127.0.0.1");
    socket.on("error", () => {});
    socket.on("close", () => closed.push("raw client"));
    await gather([openConnection({ ...local, port: portOf(server) }), sleep(20)]);
  });
  while (closed.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const kinds = process.getActiveResourcesInfo().filter((kind) => kind.startsWith("TCP"));
  expect(kinds).toEqual([]);
});

function createOutcome() {
  const event = new Event();
  const codes: unknown[] = [];
  return {
    event,
    codes,
    async catching(work: PromiseLike<unknown>): Promise<void> {
      try {
        await work;
        codes.push("no error");
      } catch (error) {
        codes.push((error as { code?: unknown }).code);
      }
    },
    done: () => event.set(),
  };
}
