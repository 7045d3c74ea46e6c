/** What a program's own mistakes do: they lose their connection at most, and the exception handler is told. */
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import {
  DatagramProtocol,
  Future,
  getRunningLoop,
  openConnection,
  Protocol,
  run,
  SubprocessProtocol,
  startServer,
  StreamReader,
  type Transport,
} from "@taskloom/loop";
import { local, openResources, openSockets, portOf } from "./peer.ts";

/** Runs `body`, and gives what the exception handler was told. */
async function reported(body: () => Promise<void>): Promise<string[]> {
  const messages: string[] = [];
  await run(async () => {
    getRunningLoop().setExceptionHandler((_loop, { message, exception }) =>
      messages.push(`${message}: ${(exception as Error).message}`),
    );
    await body();
    expect(openResources()).toBe(0);
  });
  expect(openSockets()).toBe(0);
  return messages;
}

function fail(): never {
  throw new RangeError("mine");
}

describe("a stream protocol that throws", () => {
  /** A connection to a protocol whose `method` throws; both ends have gone when it resolves. */
  function losing(method: string, provoke: (transport: Transport) => void): Promise<string[]> {
    return reported(async () => {
      const made = new Future<Transport>();
      const lost = new Future<null>();
      class Failing extends Protocol {
        override connectionMade(transport: Transport): void {
          made.setResult(transport);
        }
        override connectionLost(): void {
          lost.setResult(null);
        }
      }
      const protocol = new Failing();
      const own = method === "connectionMade" || method === "connectionLost";
      Object.assign(protocol, { [method]: fail });
      const server = await getRunningLoop().createServer(() => protocol, local);
      const socket = connect(portOf(server), "127.0.0.1");
      const closed = new Promise((resolve) => socket.once("error", () => {}).once("close", resolve));
      if (method === "connectionMade") await lost;
      else provoke(await made);
      if (method === "eofReceived") socket.end();
      if (method === "connectionLost") socket.destroy();
      else if (!own) await lost;
      socket.destroy();
      await closed;
      server.close();
      await server.waitClosed();
    });
  }

  test("in connectionMade", async () => {
    expect(await losing("connectionMade", () => {})).toEqual([
      "Fatal error: protocol.connectionMade() failed: mine",
    ]);
  });

  test("in eofReceived", async () => {
    expect(await losing("eofReceived", () => {})).toEqual([
      "Fatal error: protocol.eofReceived() failed: mine",
    ]);
  });

  test("in connectionLost", async () => {
    expect(await losing("connectionLost", () => {})).toEqual(["protocol.connectionLost() failed: mine"]);
  });

  test("in pauseWriting: it is told, and the connection goes on", async () => {
    const messages = await losing("pauseWriting", (transport) => {
      transport.setWriteBufferLimits({ high: 1000 });
      transport.write(Buffer.alloc(64 * 1024 * 1024));
      transport.abort();
    });
    expect(messages).toEqual(["protocol.pauseWriting() failed: mine"]);
  });

  test("a factory that throws: its connection is closed, the next one is served", async () => {
    const messages = await reported(async () => {
      let calls = 0;
      const server = await getRunningLoop().createServer(() => {
        if (++calls === 1) fail();
        return new Protocol();
      }, local);
      const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
      expect((await reader.read()).length).toBe(0);
      writer.close();
      const second = await openConnection({ ...local, port: portOf(server) });
      second.writer.writeEof();
      expect((await second.reader.read()).length).toBe(0);
      expect(calls).toBe(2);
      second.writer.close();
      await second.writer.waitClosed();
      server.close();
      await server.waitClosed();
    });
    expect(messages).toEqual(["the protocol factory failed: mine"]);
  });

  test("what is no factory is refused", async () => {
    await run(async () => {
      const loop = getRunningLoop();
      await expect(loop.createServer(new Protocol() as never)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    });
  });
});

test("a datagram protocol that throws closes its endpoint", async () => {
  const messages = await reported(async () => {
    const loop = getRunningLoop();
    const lost = new Future<Error | null>();
    class Failing extends DatagramProtocol {
      override datagramReceived(): void {
        fail();
      }
      override connectionLost(error: Error | null): void {
        lost.setResult(error);
      }
    }
    const at = { local: { host: "127.0.0.1" } };
    const [receiver] = await loop.createDatagramEndpoint(() => new Failing(), at);
    const [sender] = await loop.createDatagramEndpoint(() => new DatagramProtocol(), at);
    sender.sendTo("hello", receiver.getExtraInfo("sockname"));
    expect((await lost)?.message).toBe("mine");
    receiver.close(); // once more changes nothing
    expect(receiver.getExtraInfo("sockname")).toBe(undefined);
    const closed = new Future<null>();
    sender.setProtocol(
      Object.assign(new DatagramProtocol(), { connectionLost: () => closed.setResult(null) }),
    );
    sender.close();
    await closed;
  });
  expect(messages).toEqual(["Fatal error: a datagram protocol failed: mine"]);
});

test("a subprocess protocol that throws is told, and its child ends as it would", async () => {
  const messages = await reported(async () => {
    const lost = new Future<null>();
    class Failing extends SubprocessProtocol {
      override processExited(): void {
        fail();
      }
      override connectionLost(): void {
        lost.setResult(null);
      }
    }
    const [transport] = await getRunningLoop().createSubprocess(() => new Failing(), "true");
    await lost;
    expect([transport.getReturnCode(), transport.isClosing()]).toEqual([0, true]);
  });
  expect(messages).toEqual(["a subprocess protocol failed: mine"]);
});

test("bad options are refused, each with what was expected", async () => {
  await run(async () => {
    const server = await startServer(() => {}, local);
    const to = { ...local, port: portOf(server) };
    expect(() => new StreamReader({ limit: 0 })).toThrow(/`limit` to be above 0, got 0/);
    await expect(openConnection({ ...to, tls: "yes" as never })).rejects.toThrow(
      /`tls` to be true or an object/,
    );
    const { writer } = await openConnection(to);
    writer.close();
    await expect(writer.startTls({ tls: true })).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
    server.close();
    server.closeClients();
    await server.waitClosed();
  });
});
