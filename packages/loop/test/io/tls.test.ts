import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { describe, expect, test } from "vitest";
import {
  ArgumentError,
  createTask,
  getRunningLoop,
  openConnection,
  run,
  sleep,
  startServer,
} from "@taskloom/loop";
import type { Server, StreamReader, StreamWriter } from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";
import { openSockets } from "./peer.ts";

const local = { host: "127.0.0.1" };
const portOf = (server: Server): number => server.sockets()[0]!.port;
const serverTls = { key, cert: certificate };
const clientTls = { ca: certificate, servername: "localhost" };

async function shout(reader: StreamReader, writer: StreamWriter): Promise<void> {
  for await (const line of reader) {
    writer.write(line.toString().toUpperCase());
    await writer.drain();
  }
  writer.close();
}

describe("TLS", () => {
  test("a server and a client", async () => {
    await run(async () => {
      const server = await startServer(shout, {
        ...local,
        limit: 1 << 20,
        tls: { ...serverTls, ALPNProtocols: ["shout"] },
      });
      const { reader, writer } = await openConnection({
        ...local,
        port: portOf(server),
        tls: { ...clientTls, ALPNProtocols: ["shout"] },
      });
      writer.write("secret\n");
      expect((await reader.readLine()).toString()).toBe("SECRET\n");
      expect(writer.getExtraInfo("peercert")?.subject.CN).toBe("localhost");
      expect(writer.getExtraInfo("alpnProtocol")).toBe("shout");
      expect(writer.canWriteEof()).toBe(false);
      expect(() => writer.writeEof()).toThrow(/half closed/);
      const big = "x".repeat(300_000);
      writer.write(`${big}\n`);
      expect((await reader.readExactly(big.length + 1)).length).toBe(big.length + 1);
      writer.close();
      await writer.waitClosed();
      server.close();
      await server.waitClosed();
    });
  });

  test("a certificate that nobody vouches for is refused, on the client's side only", async () => {
    await run(async () => {
      const problems: string[] = [];
      getRunningLoop().setExceptionHandler((_loop, context) => problems.push(context.message));
      const server = await startServer(shout, { ...local, tls: serverTls });
      await expect(openConnection({ ...local, port: portOf(server), tls: true })).rejects.toMatchObject({
        code: "DEPTH_ZERO_SELF_SIGNED_CERT",
      });
      await expect(
        openConnection({ ...local, port: portOf(server), tls: { ca: certificate, servername: "other" } }),
      ).rejects.toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
      server.close();
      await server.waitClosed();
      expect(problems).toEqual([]);
    });
  });

  test("a handshake that does not come ends, on both sides", async () => {
    await run(async () => {
      const silent = await startServer(async (reader, writer) => {
        await reader.read();
        writer.close();
      }, local);
      await expect(
        openConnection({ ...local, port: portOf(silent), tls: { ...clientTls, handshakeTimeout: 30 } }),
      ).rejects.toMatchObject({ code: "TIMEOUT" });
      silent.close();
      await silent.waitClosed();

      const server = await startServer(shout, { ...local, tls: { ...serverTls, handshakeTimeout: 30 } });
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      expect((await reader.read()).length).toBe(0);
      writer.close();
      server.close();
      await server.waitClosed();
    });
  });
});

describe("STARTTLS", () => {
  const upgradable = async (reader: StreamReader, writer: StreamWriter): Promise<void> => {
    expect((await reader.readLine()).toString()).toBe("STARTTLS\n");
    writer.write("go ahead\n");
    await sleep(20); // the client's hello is in the reader now, and must not be lost
    await writer.startTls({ serverSide: true, tls: serverTls });
    await shout(reader, writer);
  };

  test("a connection begun in the clear goes on over TLS, on both sides", async () => {
    await run(async () => {
      const server = await startServer(upgradable, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      writer.write("STARTTLS\n");
      expect((await reader.readLine()).toString()).toBe("go ahead\n");
      await writer.startTls({ tls: clientTls });
      expect(writer.getExtraInfo("peercert")?.subject.CN).toBe("localhost");
      writer.write("secret\n");
      expect((await reader.readLine()).toString()).toBe("SECRET\n");
      writer.close();
      await writer.waitClosed();
      server.close();
      await server.waitClosed();
    });
  });

  test("what somebody slips in before the handshake is not taken for something said under TLS", async () => {
    await run(async () => {
      const seen: string[] = [];
      const outcome = getRunningLoop().createFuture<unknown>();
      const server = await startServer(async (reader, writer) => {
        await reader.readLine();
        writer.write("go ahead\n");
        await sleep(10);
        try {
          await writer.startTls({ serverSide: true, tls: serverTls });
          seen.push((await reader.readLine()).toString());
          outcome.setResult("upgraded");
        } catch (error) {
          outcome.setResult(error);
        }
      }, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      writer.write("STARTTLS\nDELETE EVERYTHING\n");
      await reader.readLine();
      const client = createTask(writer.startTls({ tls: clientTls }));
      expect(await outcome).toBeInstanceOf(Error);
      await expect(client).rejects.toBeInstanceOf(Error);
      expect(seen).toEqual([]);
      server.close();
      await server.waitClosed();
    });
  });
});

/** The ways in which the other end leaves during a handshake, after it has sent or received "go ahead". */
const hangUps: Record<string, (socket: Socket) => void> = {
  "its end": (socket) => socket.end(),
  "a reset": (socket) => socket.resetAndDestroy(),
  "half a hello and its end": (socket) => socket.end(Buffer.from([22, 3, 1, 2, 0])),
};

describe.each(Object.entries(hangUps))("a peer that leaves during the handshake: %s", (_, hangUp) => {
  test("STARTTLS, on the server's side", async () => {
    await run(async () => {
      const outcome = getRunningLoop().createFuture<unknown>();
      const server = await startServer(async (reader, writer) => {
        await reader.readLine();
        writer.write("go ahead\n");
        const upgrade = writer.startTls({ serverSide: true, tls: serverTls });
        outcome.setResult(await upgrade.catch((error: unknown) => error));
        expect(writer.isClosing()).toBe(true);
      }, local);
      const client = connect(portOf(server), "127.0.0.1");
      client.on("error", () => {}).once("data", () => hangUp(client));
      client.write("STARTTLS\n");
      expect(await outcome).toMatchObject({ code: "ECONNRESET" });
      client.destroy();
      server.close();
      await server.waitClosed();
    });
    expect(openSockets()).toBe(0);
  });

  test("STARTTLS, on the client's side", async () => {
    await run(async () => {
      const silent = await bareServer((socket) => {
        socket.write("go ahead\n");
        socket.once("data", () => hangUp(socket));
      });
      const { reader, writer } = await openConnection({ ...local, port: silent.port });
      await reader.readLine();
      await expect(writer.startTls({ tls: clientTls })).rejects.toMatchObject({ code: expect.any(String) });
      expect(writer.isClosing()).toBe(true);
      await silent.close();
    });
    expect(openSockets()).toBe(0);
  });

  test("a connection over TLS, on the server's side", async () => {
    await run(async () => {
      const reported = getRunningLoop().createFuture<unknown>();
      getRunningLoop().setExceptionHandler((_loop, context) => reported.setResult(context.exception));
      getRunningLoop().setDebug(true); // a failed handshake is reported only in debug mode
      const server = await startServer(shout, { ...local, tls: serverTls });
      const client = connect(portOf(server), "127.0.0.1");
      client.on("error", () => {}).once("connect", () => hangUp(client));
      expect(await reported).toMatchObject({ code: expect.any(String) });
      client.destroy();
      server.close();
      await server.waitClosed();
    });
    expect(openSockets()).toBe(0);
  });

  test("a connection over TLS, on the client's side", async () => {
    await run(async () => {
      const silent = await bareServer((socket) => socket.once("data", () => hangUp(socket)));
      await expect(openConnection({ ...local, port: silent.port, tls: clientTls })).rejects.toMatchObject({
        code: expect.any(String),
      });
      await silent.close();
    });
    expect(openSockets()).toBe(0);
  });
});

describe("a peer that has left before the handshake", () => {
  test.each([true, false])("STARTTLS, serverSide: %s", async (serverSide) => {
    await run(async () => {
      const peer = await bareServer((socket) => socket.end("go ahead\n"));
      const { reader, writer } = await openConnection({ ...local, port: peer.port });
      expect((await reader.read()).toString()).toBe("go ahead\n"); // and then the end
      const upgrade = serverSide
        ? writer.startTls({ serverSide, tls: serverTls })
        : writer.startTls({ tls: clientTls });
      await expect(upgrade).rejects.toMatchObject({ code: "ECONNRESET" });
      await peer.close();
    });
    expect(openSockets()).toBe(0);
  });
});

describe("handshakeTimeout", () => {
  test.each([true, false])("STARTTLS, serverSide: %s", async (serverSide) => {
    await run(async () => {
      const silent = await bareServer((socket) => socket.write("go ahead\n"));
      const { reader, writer } = await openConnection({ ...local, port: silent.port });
      await reader.readLine();
      const upgrade = serverSide
        ? writer.startTls({ serverSide, tls: { ...serverTls, handshakeTimeout: 30 } })
        : writer.startTls({ tls: { ...clientTls, handshakeTimeout: 30 } });
      await expect(upgrade).rejects.toMatchObject({ code: "TIMEOUT", message: /longer than 30 ms/ });
      await silent.close();
    });
    expect(openSockets()).toBe(0);
  });

  test("may be longer than Node's timers, or Infinity", async () => {
    await run(async () => {
      for (const handshakeTimeout of [Infinity, 2 ** 40]) {
        const server = await startServer(shout, { ...local, tls: { ...serverTls, handshakeTimeout } });
        const tls = { ...clientTls, handshakeTimeout };
        const { reader, writer } = await openConnection({ ...local, port: portOf(server), tls });
        writer.write("secret\n");
        expect((await reader.readLine()).toString()).toBe("SECRET\n");
        writer.close();
        server.close();
        await server.waitClosed();
      }
    });
  });

  test.each([0, -1, Number.NaN, "60"])("%s is refused, on both sides", async (wrong) => {
    const handshakeTimeout = wrong as number;
    await run(async () => {
      await expect(startServer(shout, { ...local, tls: { ...serverTls, handshakeTimeout } })).rejects.toThrow(
        ArgumentError,
      );
      const peer = await bareServer(() => {});
      const tls = { ...clientTls, handshakeTimeout };
      await expect(openConnection({ ...local, port: peer.port, tls })).rejects.toThrow(/above 0/);
      await peer.close();
    });
    expect(openSockets()).toBe(0);
  });
});

/** Starts a plain server of Node's own, which passes each socket to `connected`. */
async function bareServer(
  connected: (socket: Socket) => unknown,
): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    connected(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
