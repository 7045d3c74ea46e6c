/**
 * Every call of input and output that waits is cancelled in each way (by its task, by a signal, by a
 * deadline) from both spellings. The call ends as cancelled, the resources that it opened are closed, and the
 * object that it waited for is unchanged.
 */
import { describe, expect, test } from "vitest";
import {
  CancelledError,
  coroutine,
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
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import type { Awaitable, Server, SignalOption, Streams } from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";
import { local, openSockets, portOf } from "./peer.ts";

/** A call that waits until it is cancelled, and checks for afterwards. */
interface Waiting {
  start(options: SignalOption): Awaitable<unknown>;
  /** `isBegun` is true if the call was cancelled after it had begun. */
  after?(isBegun: boolean): Promise<void>;
}

/** A connection with both of its ends. */
interface Pair extends Streams {
  readonly far: Streams;
  readonly server: Server;
}

async function pair(): Promise<Pair> {
  const connected = new Future<Streams>();
  const server = await startServer((reader, writer) => connected.setResult({ reader, writer }), local);
  const near = await openConnection({ ...local, port: portOf(server) });
  return { ...near, far: await connected, server };
}

/** Returns a server that accepts connections and ignores them. */
const silentServer = (): PromiseLike<Server> => startServer(() => {}, local);

interface Read {
  readonly read: (streams: Streams, options: SignalOption) => PromiseLike<Buffer>;
  /**
   * The result of the next read after the cancellation. "half a " arrived before it; "line\n" and the end
   * arrive after it.
   */
  readonly gives: string;
}
const reads: Record<string, Read> = {
  "reader.readLine()": {
    read: ({ reader }, options) => reader.readLine(options),
    gives: "half a line\n",
  },
  "reader.readExactly(n)": {
    read: ({ reader }, options) => reader.readExactly(10, options),
    gives: "half a lin",
  },
  "reader.readUntil(separator)": {
    read: ({ reader }, options) => reader.readUntil("ne", options),
    gives: "half a line",
  },
  "reader.read()": {
    read: ({ reader }, options) => reader.read(-1, options),
    gives: "half a line\n",
  },
};

const cases: Record<string, () => Promise<Waiting>> = {
  async "openConnection, while it connects"() {
    const server = await silentServer();
    return {
      start: (options) => openConnection({ ...local, port: portOf(server), ...options }),
    };
  },
  async "openConnection, in the TLS handshake"() {
    const server = await silentServer();
    return {
      start: (options) => openConnection({ ...local, port: portOf(server), tls: true, ...options }),
    };
  },
  async "loop.createConnection"() {
    const server = await silentServer();
    const loop = getRunningLoop();
    return {
      start: (options) =>
        loop.createConnection(() => new Protocol(), { ...local, port: portOf(server), ...options }),
    };
  },
  async startServer() {
    return { start: (options) => startServer(() => {}, { ...local, ...options }) };
  },
  async "loop.createServer"() {
    const loop = getRunningLoop();
    return { start: (options) => loop.createServer(() => new Protocol(), { ...local, ...options }) };
  },
  async "server.startServing"() {
    const server = await startServer(() => {}, { ...local, startServing: false });
    return { start: (options) => server.startServing(options) };
  },
  async "server.serveForever"() {
    const server = await silentServer();
    return {
      start: (options) => server.serveForever(options),
      async after(isBegun) {
        expect(server.isServing()).toBe(!isBegun);
      },
    };
  },
  async "server.waitClosed"() {
    const { server, writer } = await pair();
    server.close();
    return {
      start: (options) => server.waitClosed(options),
      async after() {
        server.closeClients();
        await server.waitClosed();
        writer.close();
      },
    };
  },
  async "reader.read(n)"() {
    const { reader, far } = await pair();
    return {
      start: (options) => reader.read(100, options),
      async after() {
        far.writer.write("a few bytes");
        expect((await reader.read(100)).toString()).toBe("a few bytes");
      },
    };
  },
  async "for await (const line of reader)"() {
    const { reader, far } = await pair();
    const readLines = coroutine(async () => {
      for await (const line of reader) expect.unreachable(line.toString());
    });
    return {
      start: () => readLines(),
      async after() {
        far.writer.write("a line\n");
        expect((await reader.readLine()).toString()).toBe("a line\n");
      },
    };
  },
  async "writer.drain"() {
    const { writer, far } = await pair();
    far.reader.setTransport({ pauseReading: () => {}, resumeReading: () => {} });
    far.writer.transport.pauseReading();
    const piece = Buffer.alloc(1 << 20);
    let sent = 0;
    while (writer.transport.getWriteBufferSize() < 8 * piece.length) {
      writer.write(piece);
      sent += piece.length;
      await sleep(0);
    }
    return {
      start: (options) => writer.drain(options),
      async after() {
        far.writer.transport.resumeReading();
        await writer.drain();
        expect((await far.reader.readExactly(sent)).length).toBe(sent);
      },
    };
  },
  async "writer.waitClosed"() {
    const { writer } = await pair();
    return {
      start: (options) => writer.waitClosed(options),
      async after() {
        writer.close();
        await writer.waitClosed();
      },
    };
  },
  async "writer.startTls, as the client"() {
    const { writer } = await pair();
    return {
      start: (options) => writer.startTls(options),
      async after(isBegun) {
        expect(writer.isClosing()).toBe(isBegun); // half a handshake cannot be undone
      },
    };
  },
  async "writer.startTls, as the server"() {
    const { writer } = await pair();
    return {
      start: (options) => writer.startTls({ serverSide: true, tls: { key, cert: certificate }, ...options }),
      async after(isBegun) {
        expect(writer.isClosing()).toBe(isBegun);
      },
    };
  },
  async "loop.createDatagramEndpoint"() {
    const loop = getRunningLoop();
    return {
      start: (options) => loop.createDatagramEndpoint(() => new DatagramProtocol(), { local, ...options }),
    };
  },
  async "process.wait"() {
    const child = await createSubprocess("cat", [], { stdin: "pipe", stdout: "pipe" });
    return {
      start: (options) => child.wait(options),
      async after() {
        child.stdin!.close();
        expect(await child.wait()).toBe(0);
      },
    };
  },
  async "process.communicate"() {
    const child = await createSubprocess("sleep", ["60"], { stdout: "pipe" });
    return {
      start: (options) => child.communicate(null, options),
      async after() {
        expect(child.returnCode).toBe(null);
        child.kill();
        expect(await child.wait()).toBe(-9);
      },
    };
  },
};
for (const [name, { read, gives }] of Object.entries(reads)) {
  cases[name] = async () => {
    const streams = await pair();
    streams.far.writer.write("half a ");
    return {
      start: (options) => read(streams, options),
      async after() {
        streams.far.writer.write("line\n");
        streams.far.writer.writeEof();
        const bytes = await read(streams, {});
        expect(bytes.toString()).toBe(gives);
      },
    };
  };
}

const spellings = {
  async: (work: () => Awaitable<unknown>) => async () => await work(),
  // A generator delegates to an iterator of Taskloom's, or to a task.
  generator: (work: () => Awaitable<unknown>) =>
    function* () {
      const awaitable = work();
      return yield* Symbol.iterator in awaitable
        ? (awaitable as unknown as Iterable<never, unknown, unknown>)
        : createTask(() => awaitable);
    },
};

const ways: Record<string, (body: (options: SignalOption) => () => Awaitable<unknown>) => Promise<unknown>> =
  {
    async "task.cancel()"(body) {
      const task = createTask(body({}));
      getRunningLoop().callSoon(() => task.cancel());
      return await task;
    },
    async "task.cancel(), later"(body) {
      const task = createTask(body({}));
      await underWay();
      task.cancel();
      return await task;
    },
    async "{ signal }"(body) {
      const controller = new AbortController();
      const task = createTask(body({ signal: controller.signal }));
      getRunningLoop().callSoon(() => controller.abort());
      return await task;
    },
    async "{ signal }, aborted before"(body) {
      return await createTask(body({ signal: AbortSignal.abort() }));
    },
    async "a deadline"(body) {
      return await timeout(0, body({}));
    },
  };

/** Lets started calls run for some turns, until they wait. */
async function underWay(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await sleep(0);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Returns the ways to cancel a case. Quick calls end before a later cancellation, and `for await` takes no
 * signal.
 */
function waysOf(name: string): string[] {
  const isQuick = /while it connects|createConnection|startServer$|createServer|startServing|Datagram/.test(
    name,
  );
  return Object.keys(ways).filter(
    (way) =>
      !(isQuick && way.endsWith("later")) && !(name.startsWith("for await") && way.startsWith("{ signal }")),
  );
}

describe.each(Object.keys(cases))("%s", (name) => {
  describe.each(Object.keys(spellings) as (keyof typeof spellings)[])("%s", (spelling) => {
    test.each(waysOf(name))("%s", async (way) => {
      // An async task reaches its awaited call in a microtask after this turn; a generator reaches it at
      // once.
      const isBegun =
        way.endsWith("later") ||
        way === "a deadline" ||
        (spelling === "generator" && !way.endsWith("aborted before"));
      await run(async () => {
        const waiting = await cases[name]!();
        const outcome = ways[way]!((options) => spellings[spelling](() => waiting.start(options)));
        const expected = way === "a deadline" ? TimeoutError : CancelledError;
        await expect(outcome).rejects.toBeInstanceOf(expected);
        await waiting.after?.(isBegun);
      });
      expect(openSockets()).toBe(0);
    });
  });
});
