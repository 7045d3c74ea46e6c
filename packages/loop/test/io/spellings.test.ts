/** Input and output as one script of awaitables, which runs in both spellings. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  CancelledError,
  createSubprocess,
  createTask,
  DatagramProtocol,
  Future,
  getRunningLoop,
  openConnection,
  Protocol,
  run,
  sleep,
  startServer,
} from "@taskloom/loop";
import type { Awaitable, Process, Server, StreamReader, StreamWriter, Transport } from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";
import { clientsOf, local, openResources, openSockets, portOf } from "./peer.ts";

/** Yields awaitables, and receives their results. */
type Script<T = void> = Generator<Awaitable<unknown>, T, unknown>;

/** Awaits within a script, and keeps the type of the result. */
function* wait<T>(awaitable: Awaitable<T> & PromiseLike<T>): Script<T> {
  return (yield awaitable) as T;
}

async function asAsync<T>(script: Script<T>): Promise<T> {
  for (let step = script.next(); ;) {
    if (step.done === true) return step.value;
    let value: unknown;
    try {
      value = await step.value;
    } catch (error) {
      step = script.throw(error);
      continue;
    }
    step = script.next(value);
  }
}

function* asGenerator<T>(script: Script<T>): Generator<never, T, unknown> {
  for (let step = script.next(); ;) {
    if (step.done === true) return step.value;
    let value: unknown;
    try {
      value = yield* step.value as unknown as Iterable<never, unknown, unknown>;
    } catch (error) {
      step = script.throw(error);
      continue;
    }
    step = script.next(value);
  }
}

type Play = <T>(script: Script<T>) => Awaitable<T>;
const spellings: [name: string, play: Play][] = [
  ["async", asAsync],
  ["generator", asGenerator],
];

describe.each(spellings)("%s", (_name, play) => {
  const plays = (script: () => Script): Promise<void> => run(() => play(script()));

  function* shout(reader: StreamReader, writer: StreamWriter): Script {
    for (;;) {
      const line = yield* wait(reader.readLine());
      if (line.length === 0) break;
      writer.write(line.toString().toUpperCase());
      yield* wait(writer.drain());
    }
    writer.close();
    yield* wait(writer.waitClosed());
  }
  const serveShouting = (options: Parameters<typeof startServer>[1]) =>
    startServer((reader, writer) => play(shout(reader, writer)), options);

  function* converse(reader: StreamReader, writer: StreamWriter): Script {
    writer.write("one\ntwo\nthree and the rest\n");
    yield* wait(writer.drain());
    expect((yield* wait(reader.readLine())).toString()).toBe("ONE\n");
    expect((yield* wait(reader.readUntil("\n"))).toString()).toBe("TWO\n");
    expect((yield* wait(reader.readExactly(5))).toString()).toBe("THREE");
    expect((yield* wait(reader.read(100))).toString()).toBe(" AND THE REST\n");
  }

  test("streams over TCP, a Unix socket and TLS", () =>
    plays(function* () {
      const folder = mkdtempSync(join(tmpdir(), "taskloom-"));
      const path = join(folder, "shout.sock");
      const tls = { key, cert: certificate };
      for (const at of [local, { path }, { ...local, tls }]) {
        const server = yield* wait(serveShouting(at));
        const to = "path" in at ? { path } : { ...local, port: portOf(server) };
        const secure = "tls" in at ? { tls: { ca: certificate, servername: "localhost" } } : {};
        const { reader, writer } = yield* wait(openConnection({ ...to, ...secure }));
        yield* converse(reader, writer);
        if (writer.canWriteEof()) {
          writer.writeEof();
          expect((yield* wait(reader.read())).length).toBe(0);
        }
        writer.close();
        yield* wait(writer.waitClosed());
        server.close();
        yield* wait(server.waitClosed());
      }
      rmSync(folder, { recursive: true });
    }));

  test("STARTTLS, on both sides", () =>
    plays(function* () {
      function* upgrade(reader: StreamReader, writer: StreamWriter): Script {
        expect((yield* wait(reader.readLine())).toString()).toBe("STARTTLS\n");
        writer.write("go ahead\n");
        yield* wait(writer.startTls({ serverSide: true, tls: { key, cert: certificate } }));
        yield* shout(reader, writer);
      }
      const server = yield* wait(startServer((reader, writer) => play(upgrade(reader, writer)), local));
      const { reader, writer } = yield* wait(openConnection({ ...local, port: portOf(server) }));
      writer.write("STARTTLS\n");
      expect((yield* wait(reader.readLine())).toString()).toBe("go ahead\n");
      yield* wait(writer.startTls({ tls: { ca: certificate, servername: "localhost" } }));
      yield* converse(reader, writer);
      writer.close();
      yield* wait(writer.waitClosed());
      server.close();
      yield* wait(server.waitClosed());
    }));

  test("protocols and transports", () =>
    plays(function* () {
      const loop = getRunningLoop();
      class Doubler extends Protocol {
        #transport!: Transport;
        override connectionMade(transport: Transport): void {
          this.#transport = transport;
        }
        override dataReceived(data: Buffer): void {
          this.#transport.write(Buffer.concat([data, data]));
        }
      }
      class Collector extends Protocol {
        readonly answer = new Future<string>();
        readonly lost = new Future<Error | null>();
        override dataReceived(data: Buffer): void {
          this.answer.setResult(data.toString());
        }
        override connectionLost(error: Error | null): void {
          this.lost.setResult(error);
        }
      }
      const server = yield* wait(loop.createServer(() => new Doubler(), local));
      const [transport, protocol] = yield* wait(
        loop.createConnection(() => new Collector(), { ...local, port: portOf(server) }),
      );
      transport.write("ab");
      expect(yield* wait(protocol.answer)).toBe("abab");
      transport.close();
      expect(yield* wait(protocol.lost)).toBe(null);
      server.close();
      yield* wait(server.waitClosed());
    }));

  test("datagrams", () =>
    plays(function* () {
      class Box extends DatagramProtocol {
        readonly mail = new Future<string>();
        override datagramReceived(data: Buffer): void {
          this.mail.setResult(data.toString());
        }
      }
      const loop = getRunningLoop();
      const [server, box] = yield* wait(loop.createDatagramEndpoint(() => new Box(), { local }));
      const { port } = server.getExtraInfo("sockname")!;
      const remote = { host: "127.0.0.1", port };
      const [client] = yield* wait(loop.createDatagramEndpoint(() => new Box(), { remote }));
      client.sendTo("hello");
      expect(yield* wait(box.mail)).toBe("hello");
      client.close();
      server.close();
    }));

  test("subprocesses", () =>
    plays(function* () {
      const piped = { stdin: "pipe", stdout: "pipe" } as const;
      const child = yield* wait(createSubprocess("cat", [], piped));
      child.stdin!.write("a line\n");
      yield* wait(child.stdin!.drain());
      expect((yield* wait(child.stdout!.readLine())).toString()).toBe("a line\n");
      const { stdout } = yield* wait(child.communicate("the rest"));
      expect(stdout?.toString()).toBe("the rest");
      const other = yield* wait(createSubprocess("cat", [], piped));
      other.kill();
      expect(yield* wait(other.wait())).toBe(-9);
    }));

  test("a server that starts later, serves for ever, and is told to stop", () =>
    plays(function* () {
      const server = yield* wait(serveShouting({ ...local, startServing: false }));
      expect(server.isServing()).toBe(false);
      yield* wait(server.startServing());
      expect(server.sockets()).toHaveLength(1);
      const serving = createTask(server.serveForever());
      const { reader, writer } = yield* wait(openConnection({ ...local, port: portOf(server) }));
      yield* converse(reader, writer);
      writer.close();
      serving.cancel();
      let ended: unknown;
      try {
        yield* wait(serving);
      } catch (error) {
        ended = error;
      }
      expect(ended).toBeInstanceOf(CancelledError);
      expect(server.sockets()).toEqual([]);
    }));
});

test("a server, a writer and a process are async-disposable: closed, and waited for", async () => {
  await run(async () => {
    let server: Server;
    let writer: StreamWriter;
    let child: Process;
    {
      await using disposed = await startServer(async (reader, peer) => {
        await reader.read();
        peer.close();
      }, local);
      server = disposed;
      {
        await using connected = (await openConnection({ ...local, port: portOf(server) })).writer;
        writer = connected;
        expect(writer.isClosing()).toBe(false);
        while (clientsOf(server) === 0) await sleep(1);
      }
      expect(writer.isClosing()).toBe(true);
      expect(server.isServing()).toBe(true);
    }
    expect(server.isServing()).toBe(false);
    expect([clientsOf(server), openSockets()]).toEqual([0, 0]);
    {
      await using disposed = await createSubprocess("sleep", ["60"], { stdout: "pipe" });
      child = disposed;
    }
    expect(child.returnCode).toBe(-9);
    expect(openResources()).toBe(0);
  });
});
