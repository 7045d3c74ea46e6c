/** The effect of each option of servers and connections, and the printed form of the objects. */
import { createServer as createHttpServer } from "node:http";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  createSubprocess,
  createTask,
  DatagramProtocol,
  Future,
  getRunningLoop,
  openConnection,
  Protocol,
  Queue,
  run,
  sleep,
  startServer,
} from "@taskloom/loop";
import type { SocketAddress } from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";
import { clientsOf, local, openSockets, portOf } from "./peer.ts";

const hasIPv6 = Object.values(networkInterfaces()).some((several) =>
  several?.some(({ address }) => address === "::1"),
);

describe("a server", () => {
  test("maxConnections: those beyond are closed at once", async () => {
    await run(async () => {
      const server = await startServer(
        async (reader) => {
          await reader.read();
        },
        { ...local, maxConnections: 1 },
      );
      const first = await openConnection({ ...local, port: portOf(server) });
      while (clientsOf(server) < 1) await sleep(1);
      const second = await openConnection({ ...local, port: portOf(server) });
      const end = await second.reader.read().catch((error: unknown) => (error as NodeJS.ErrnoException).code);
      expect([0, "ECONNRESET"]).toContain(typeof end === "object" ? end.length : end);
      expect(clientsOf(server)).toBe(1);
      for (const { writer } of [first, second]) writer.close();
      server.close();
      server.closeClients();
      await server.waitClosed();
    });
  });

  test("reusePort: two servers share a port", async ({ skip }) => {
    skip(process.platform !== "linux", "reusePort spreads connections on Linux");
    await run(async () => {
      const served = new Queue<string>();
      const serve = (name: string, port: number) =>
        startServer(
          (_reader, writer) => {
            served.putNowait(name);
            writer.close();
          },
          { ...local, port, reusePort: true },
        );
      const one = await serve("one", 0);
      const two = await serve("two", portOf(one));
      const seen = new Set<string>();
      while (seen.size < 2) {
        const { writer } = await openConnection({ ...local, port: portOf(one) });
        seen.add(await served.get());
        writer.close();
      }
      expect(seen).toEqual(new Set(["one", "two"]));
      for (const server of [one, two]) {
        server.close();
        await server.waitClosed();
      }
    });
  });

  test("closeClients and abortClients reach those in the middle of a handshake too", async () => {
    await run(async () => {
      for (const end of ["closeClients", "abortClients"] as const) {
        const server = await startServer(() => {}, { ...local, tls: { key, cert: certificate } });
        const socket = connect(portOf(server), "127.0.0.1");
        const closed = new Promise((resolve) => socket.once("error", () => {}).once("close", resolve));
        while (openSockets() < 2) await sleep(1);
        server.close();
        server[end]();
        await closed;
        await server.waitClosed();
        expect(server.isServing()).toBe(false);
      }
    });
  });

  test("a failed handshake is reported in debug mode", async () => {
    await run(
      async () => {
        const told = new Future<string>();
        getRunningLoop().setExceptionHandler((_loop, { message }) => told.setResult(message));
        const server = await startServer(() => {}, { ...local, tls: { key, cert: certificate } });
        const { writer } = await openConnection({ ...local, port: portOf(server) });
        writer.write("this is not TLS\n");
        expect(await told).toBe("A TLS handshake failed");
        writer.close();
        server.close();
        await server.waitClosed();
      },
      { debug: true },
    );
  });
});

describe("a connection", () => {
  test("localAddress, localPort, keepAlive, family", async () => {
    await run(async () => {
      const peers = new Queue<SocketAddress | undefined>();
      const server = await startServer(
        (_reader, writer) => {
          peers.putNowait(writer.getExtraInfo("peername"));
          writer.close();
        },
        { ...local, keepAlive: 1000 },
      );
      const free = await startServer(() => {}, local);
      const localPort = portOf(free);
      free.close();
      await free.waitClosed();
      const { writer } = await openConnection({
        host: "localhost",
        port: portOf(server),
        localAddress: "127.0.0.1",
        localPort,
        keepAlive: 1000,
        family: 4,
      });
      expect(await peers.get()).toEqual({ family: "IPv4", address: "127.0.0.1", port: localPort });
      writer.close();
      server.close();
      await server.waitClosed();
    });
  });

  test("IPv6", async ({ skip }) => {
    skip(!hasIPv6, "this machine has no IPv6 loopback address");
    await run(async () => {
      const server = await startServer((_reader, writer) => writer.close(), { host: "::1" });
      expect(server.sockets()[0]).toMatchObject({ family: "IPv6", address: "::1" });
      const { reader, writer } = await openConnection({ host: "::1", port: portOf(server) });
      expect(writer.getExtraInfo("peername")?.family).toBe("IPv6");
      expect((await reader.read()).length).toBe(0);
      writer.close();
      server.close();
      await server.waitClosed();
      const [datagrams] = await getRunningLoop().createDatagramEndpoint(() => new DatagramProtocol(), {
        local: { host: "::1" },
        family: 6,
        reuseAddr: true,
      });
      expect(datagrams.getExtraInfo("sockname")?.address).toBe("::1");
      datagrams.close();
    });
  });

  test("what was written before writeEof and close is sent, however much it is", async () => {
    await run(async () => {
      const server = await startServer(async (reader, writer) => {
        writer.write(String((await reader.read()).length));
        writer.close();
      }, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      writer.write(Buffer.alloc(8 * 1024 * 1024));
      writer.writeEof();
      writer.writeEof(); // a second call changes nothing
      const answer = createTask(reader.read());
      expect((await answer).toString()).toBe(String(8 * 1024 * 1024));
      writer.close();
      server.close();
      await server.waitClosed();
    });
  });

  test("a socket of somebody else's server can be taken over", async () => {
    await run(async () => {
      const loop = getRunningLoop();
      const upgraded = new Future<string>();
      class Raw extends Protocol {
        override dataReceived(data: Buffer): void {
          upgraded.setResult(data.toString());
        }
      }
      const http = createHttpServer();
      http.on("upgrade", (_request, socket) => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n");
        createTask(loop.createConnection(() => new Raw(), { socket }));
      });
      await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
      const { port } = http.address() as { port: number };
      const { reader, writer } = await openConnection({ ...local, port });
      writer.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n");
      expect((await reader.readUntil("\r\n\r\n")).toString()).toMatch(/^HTTP\/1.1 101/);
      writer.write("no longer HTTP");
      expect(await upgraded).toBe("no longer HTTP");
      writer.close();
      http.close();
    });
  });
});

test("how servers, connections and children are printed", async () => {
  await run(async () => {
    const server = await startServer(() => {}, local);
    const at = `127.0.0.1:${portOf(server)}`;
    expect(inspect(server)).toBe(`<Server open ${at} clients=0>`);
    const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
    expect(inspect(writer)).toBe(`<StreamWriter of <Transport open peer=${at} buffered=0>>`);
    expect(inspect(reader)).toBe("<StreamReader open buffered=0>");
    writer.close();
    expect(inspect(writer.transport)).toContain("<Transport closing");
    await writer.waitClosed();
    expect(inspect(writer.transport)).toMatch(/^<Transport closed .*buffered=0>$/);
    const child = await createSubprocess("true");
    expect(inspect(child)).toBe(`<Process ${child.pid}>`);
    await child.wait();
    expect(inspect(child)).toBe(`<Process ${child.pid} returnCode=0>`);
    server.close();
    server.closeClients();
    await server.waitClosed();
    expect(inspect(server)).toBe("<Server closed clients=0>");
  });
});
