/**
 * Exceptions of a protocol in each callback of each kind of transport. The expectations were taken from
 * CPython 3.13: it reports every exception, and closes the connection after `data_received` and
 * `eof_received` of a socket, and after `connection_made` over TLS. All other connections continue.
 */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { PassThrough } from "node:stream";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import { Future, getRunningLoop, run } from "@taskloom/loop";
import type { Transport } from "@taskloom/loop";
import { certificate, key } from "./certificate.ts";
import { local, openResources, openSockets, portOf } from "./peer.ts";

const METHODS = [
  "connectionMade",
  "dataReceived",
  "eofReceived",
  "connectionLost",
  "pauseWriting",
  "resumeWriting",
  "datagramReceived",
  "errorReceived",
  "pipeDataReceived",
  "pipeConnectionLost",
  "processExited",
] as const;
type Method = (typeof METHODS)[number];

/** A protocol of any kind: it records its calls, and one of its methods throws. */
class Recorder {
  readonly calls: string[] = [];
  transport: unknown;
  lostTo: Error | null | undefined;
  #waiting: { method: Method; count: number; future: Future<undefined> }[] = [];

  constructor(failing: Method) {
    for (const method of METHODS) {
      Object.defineProperty(this, method, {
        value: (...args: unknown[]): void => {
          this.calls.push(method);
          if (method === "connectionMade") this.transport = args[0];
          if (method === "connectionLost") this.lostTo = args[0] as Error | null;
          for (const each of this.#waiting) if (this.#has(each)) each.future.setResult(undefined);
          this.#waiting = this.#waiting.filter((each) => !each.future.done());
          if (method === failing) throw new RangeError("mine");
        },
      });
    }
  }

  #has({ method, count }: { method: Method; count: number }): boolean {
    return this.count(method) >= count || this.calls.includes("connectionLost");
  }

  count(method: Method): number {
    return this.calls.filter((call) => call === method).length;
  }

  /** Resolves when `method` has been called `count` times, or at once when the connection is lost. */
  async until(method: Method, count = 1): Promise<void> {
    const future = new Future<undefined>();
    const each = { method, count, future };
    if (this.#has(each)) return;
    this.#waiting.push(each);
    await future;
  }

  get isLost(): boolean {
    return this.calls.includes("connectionLost");
  }
}

/**
 * For each kind of transport: makes a connection, triggers every callback unless the connection is lost
 * before, and ends it.
 */
const kinds: Record<string, (protocol: Recorder) => Promise<void>> = {
  "a TCP connection": (protocol) => socket(protocol, false),
  "a TLS connection": (protocol) => socket(protocol, true),

  async "a UDP endpoint"(protocol) {
    const loop = getRunningLoop();
    const [transport] = await loop.createDatagramEndpoint(() => protocol as never, { local });
    const { port } = transport.getExtraInfo("sockname")!;
    const peer = createSocket("udp4");
    for (const count of [1, 2]) {
      peer.send("x", port, "127.0.0.1");
      await protocol.until("datagramReceived", count);
    }
    transport.sendTo("x", { address: "127.0.0.1", port: 0 });
    await protocol.until("errorReceived");
    peer.send("x", port, "127.0.0.1");
    await protocol.until("datagramReceived", 3);
    peer.close();
    transport.close();
  },

  async "a child process"(protocol) {
    const script = "echo 1; read line; echo 2";
    const options = { shell: true, stdin: "pipe", stdout: "pipe" } as const;
    const loop = getRunningLoop();
    const [transport] = await loop.createSubprocess(() => protocol as never, script, [], options);
    await protocol.until("pipeDataReceived");
    const stdin = transport.getPipeTransport(0)!;
    stdin.write("\n");
    await protocol.until("pipeDataReceived", 2);
    stdin.close();
  },

  async "a pipe that is read"(protocol) {
    const stream = new PassThrough();
    await getRunningLoop().connectReadPipe(() => protocol as never, stream);
    for (const count of [1, 2]) {
      stream.write("x");
      await protocol.until("dataReceived", count);
    }
    stream.end();
  },
};

async function socket(protocol: Recorder, isSecure: boolean): Promise<void> {
  const server = await getRunningLoop().createServer(() => protocol as never, {
    ...local,
    ...(isSecure ? { tls: { key, cert: certificate } } : {}),
  });
  const to = { port: portOf(server), host: "127.0.0.1" };
  const client = isSecure ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
  client.on("error", () => {}).resume();
  await protocol.until("connectionMade");
  if (!protocol.isLost) {
    const transport = protocol.transport as Transport;
    transport.setWriteBufferLimits({ high: 1000 });
    if (!transport.isClosing()) {
      transport.write(Buffer.alloc(8 * 1024 * 1024));
      await protocol.until("resumeWriting");
    }
  }
  for (const count of [1, 2]) {
    if (!protocol.isLost) client.write("x");
    await protocol.until("dataReceived", count);
  }
  client.end();
  await protocol.until("connectionLost");
  client.destroy();
  server.close();
  await server.waitClosed();
}

const fatal = new Set([
  "a TCP connection dataReceived",
  "a TCP connection eofReceived",
  "a TLS connection connectionMade",
  "a TLS connection dataReceived",
  "a TLS connection eofReceived",
]);

const callbacks: Record<string, readonly Method[]> = {
  "a TCP connection": [
    "connectionMade",
    "pauseWriting",
    "resumeWriting",
    "dataReceived",
    "eofReceived",
    "connectionLost",
  ],
  "a TLS connection": [
    "connectionMade",
    "pauseWriting",
    "resumeWriting",
    "dataReceived",
    "eofReceived",
    "connectionLost",
  ],
  "a UDP endpoint": ["connectionMade", "datagramReceived", "errorReceived", "connectionLost"],
  "a child process": [
    "connectionMade",
    "pipeDataReceived",
    "pipeConnectionLost",
    "processExited",
    "connectionLost",
  ],
  "a pipe that is read": ["connectionMade", "dataReceived", "eofReceived", "connectionLost"],
};

/** The number of calls of each callback on a connection that ends normally. */
const complete: Record<string, Partial<Record<Method, number>>> = {
  "a TCP connection": { pauseWriting: 1, resumeWriting: 1, dataReceived: 2, eofReceived: 1 },
  "a TLS connection": { pauseWriting: 1, resumeWriting: 1, dataReceived: 2, eofReceived: 1 },
  "a UDP endpoint": { datagramReceived: 3, errorReceived: 1 },
  "a child process": { pipeDataReceived: 2, pipeConnectionLost: 2, processExited: 1 },
  "a pipe that is read": { dataReceived: 2, eofReceived: 1 },
};

test.each(
  Object.entries(callbacks).flatMap(([kind, methods]) => methods.map((method) => [kind, method] as const)),
)("%s: an exception of %s", async (kind, method) => {
  const isFatal = fatal.has(`${kind} ${method}`);
  const protocol = new Recorder(method);
  const reports: unknown[] = [];
  await run(async () => {
    getRunningLoop().setExceptionHandler((_loop, { message, exception, transport }) => {
      expect(transport).toBe(protocol.transport);
      reports.push([message, (exception as Error).message]);
    });
    await kinds[kind]!(protocol);
    await protocol.until("connectionLost");
    expect(openResources()).toBe(0);
  });
  expect(openSockets()).toBe(0);

  const text = `${isFatal ? "Fatal error: " : ""}protocol.${method}() failed`;
  expect(reports).toEqual(Array.from({ length: isFatal ? 1 : protocol.count(method) }, () => [text, "mine"]));
  expect(protocol.count("connectionMade")).toBe(1);
  expect(protocol.count("connectionLost")).toBe(1);
  if (isFatal) {
    expect(protocol.lostTo?.message).toBe("mine");
  } else {
    expect(protocol.lostTo).toBe(null);
    for (const [name, count] of Object.entries(complete[kind]!)) {
      expect([name, protocol.count(name as Method)]).toEqual([name, count]);
    }
  }
});
