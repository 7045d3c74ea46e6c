import { describe, expect, test } from "vitest";
import { ArgumentError, DatagramProtocol, getRunningLoop, Queue, run } from "@taskloom/loop";
import type { DatagramTransport, UdpAddress } from "@taskloom/loop";

class Mailbox extends DatagramProtocol {
  readonly mail = new Queue<{ text: string; from: UdpAddress }>();
  readonly errors = new Queue<Error>();
  readonly lost = getRunningLoop().createFuture<Error | null>();
  transport!: DatagramTransport;
  override connectionMade(transport: DatagramTransport): void {
    this.transport = transport;
  }
  override datagramReceived(data: Buffer, from: UdpAddress): void {
    this.mail.putNowait({ text: data.toString(), from });
  }
  override errorReceived(error: Error): void {
    this.errors.putNowait(error);
  }
  override connectionLost(error: Error | null): void {
    this.lost.setResult(error);
  }
}

const local = { local: { host: "127.0.0.1" } };

test("datagrams there and back, to any address and to a fixed one", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const [server, inbox] = await loop.createDatagramEndpoint(() => new Mailbox(), local);
    const at = server.getExtraInfo("sockname")!;
    const [free, freeBox] = await loop.createDatagramEndpoint(() => new Mailbox(), local);
    free.sendTo("to anyone", at);
    const first = await inbox.mail.get();
    expect(first).toEqual({ text: "to anyone", from: free.getExtraInfo("sockname") });
    server.sendTo(Buffer.from("answer"), first.from);
    expect((await freeBox.mail.get()).text).toBe("answer");

    const [fixed] = await loop.createDatagramEndpoint(() => new Mailbox(), {
      remote: { host: "127.0.0.1", port: at.port },
    });
    expect(fixed.getExtraInfo("peername")?.port).toBe(at.port);
    fixed.sendTo("to the one");
    expect((await inbox.mail.get()).text).toBe("to the one");
    fixed.setWriteBufferLimits({ high: 1000 });
    expect(fixed.getWriteBufferLimits()).toEqual({ low: 250, high: 1000 });
    expect(fixed.getWriteBufferSize()).toBe(0);
    expect(() => fixed.sendTo("x", at)).toThrow(/Expected no `to`/);
    expect(() => free.sendTo("x")).toThrow(/Expected `to` to be an address/);
    expect(() => free.sendTo(1 as never, at)).toThrow(/Expected `data` to be a string or bytes/);

    for (const transport of [server, free, fixed]) transport.close();
    expect(await inbox.lost).toBe(null);
    expect(loop._resources.size).toBe(0);
  });
});

test("a destination that refuses is an error received; the endpoint goes on", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const [gone] = await loop.createDatagramEndpoint(() => new Mailbox(), local);
    const { port } = gone.getExtraInfo("sockname")!;
    gone.close();
    await (gone.getProtocol() as Mailbox).lost;
    const [transport, box] = await loop.createDatagramEndpoint(() => new Mailbox(), {
      remote: { host: "127.0.0.1", port },
    });
    transport.sendTo("anybody there?");
    transport.sendTo("hello?");
    expect(((await box.errors.get()) as NodeJS.ErrnoException).code).toBe("ECONNREFUSED");
    expect(transport.isClosing()).toBe(false);
    transport.close();
    await box.lost;
  });
});

test("what was given before close is sent", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const [server, inbox] = await loop.createDatagramEndpoint(() => new Mailbox(), local);
    const [transport, box] = await loop.createDatagramEndpoint(() => new Mailbox(), local);
    for (let i = 0; i < 10; i++) transport.sendTo(`${i}`, server.getExtraInfo("sockname"));
    transport.close();
    transport.sendTo("dropped", { address: "127.0.0.1", port: 9 });
    const texts: string[] = [];
    for (let i = 0; i < 10; i++) texts.push((await inbox.mail.get()).text);
    expect(texts).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    await box.lost;
    server.abort();
  });
});

test("another protocol can take over an endpoint", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const [server, first] = await loop.createDatagramEndpoint(() => new Mailbox(), local);
    const [client] = await loop.createDatagramEndpoint(() => new Mailbox(), local);
    const to = server.getExtraInfo("sockname");
    client.sendTo("one", to);
    expect((await first.mail.get()).text).toBe("one");
    const second = new Mailbox();
    server.setProtocol(second);
    expect(server.getProtocol()).toBe(second);
    client.sendTo("two", to);
    expect((await second.mail.get()).text).toBe("two");
    server.close();
    client.close();
    expect(await second.lost).toBe(null);
    expect(first.lost.done()).toBe(false);
  });
});

describe("a destination that cannot be sent to", () => {
  test("port 0, which a sender can forge: errorReceived, and close() still ends the endpoint", async () => {
    await run(async () => {
      const [transport, box] = await getRunningLoop().createDatagramEndpoint(() => new Mailbox(), local);
      transport.sendTo("x", { address: "127.0.0.1", port: 0 });
      expect(await box.errors.get()).toMatchObject({ code: "EINVAL", syscall: "send", port: 0 });
      transport.sendTo("x", { address: "127.0.0.1", port: 0 });
      transport.close();
      expect(await box.lost).toBe(null);
      expect(() => transport.getExtraInfo("socket").address()).toThrow(/Not running/);
    });
  });

  test.each([
    [{ address: "127.0.0.1", port: 65_536 }, /up to 65535, got 65536/],
    [{ address: "127.0.0.1", port: -1 }, /up to 65535, got -1/],
    [{ address: "127.0.0.1", port: 1.5 }, /up to 65535, got 1.5/],
    [{ address: "127.0.0.1", port: "53" }, /up to 65535, got '53'/],
    [{ address: "", port: 53 }, /with an address/],
    [{ address: undefined, port: 53 }, /with an address/],
    [null, /with an address, got null/],
    ["127.0.0.1:53", /with an address, got '127.0.0.1:53'/],
  ])("%j: an ArgumentError, and close() still ends the endpoint", async (to, message) => {
    await run(async () => {
      const [transport, box] = await getRunningLoop().createDatagramEndpoint(() => new Mailbox(), local);
      expect(() => transport.sendTo("x", to as never)).toThrow(ArgumentError);
      expect(() => transport.sendTo("x", to as never)).toThrow(message);
      transport.sendTo("to itself", transport.getExtraInfo("sockname"));
      expect((await box.mail.get()).text).toBe("to itself");
      transport.close();
      expect(await box.lost).toBe(null);
    });
  });
});
