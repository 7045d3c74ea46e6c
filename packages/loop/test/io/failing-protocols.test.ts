/** A protocol factory that throws, and invalid options. `protocol-exceptions.test.ts` tests the callbacks. */
import { describe, expect, test } from "vitest";
import { getRunningLoop, openConnection, Protocol, run, startServer, StreamReader } from "@taskloom/loop";
import { local, openResources, openSockets, portOf } from "./peer.ts";

/** Runs `body`, and returns the messages that the exception handler received. */
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

describe("a protocol factory", () => {
  test("that throws: its connection is closed, the next one is served", async () => {
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
    expect(messages).toEqual(["The protocol factory failed: mine"]);
  });

  test("that is no function is refused", async () => {
    await run(async () => {
      const loop = getRunningLoop();
      await expect(loop.createServer(new Protocol() as never)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    });
  });
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
