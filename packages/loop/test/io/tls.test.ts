import { describe, expect, test } from "vitest";
import {
  createTask,
  getRunningLoop,
  openConnection,
  run,
  type Server,
  sleep,
  startServer,
  type StreamReader,
  type StreamWriter,
} from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";

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
    await sleep(20); // the client's hello is in the reader by now, and must not be lost
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
