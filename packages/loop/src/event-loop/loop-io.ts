import type { Duplex, Readable, Writable } from "node:stream";
import { Scheduler } from "../kernel/scheduler.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { createConnection } from "../io/connection.ts";
import type { ConnectOptions } from "../io/connection.ts";
import { createDatagramEndpoint } from "../io/datagram-transport.ts";
import type { DatagramOptions, DatagramTransport } from "../io/datagram-transport.ts";
import { OpenResources } from "../io/open-resources.ts";
import { connectPipe } from "../io/pipes.ts";
import type { DatagramProtocol, Protocol, SubprocessProtocol } from "../io/protocol.ts";
import type { ListenAt } from "../io/listen-at.ts";
import { createServer } from "../io/server.ts";
import type { Server } from "../io/server.ts";
import { SignalHandlers } from "../io/signal-handlers.ts";
import { startTls } from "../io/start-tls.ts";
import type { StartTlsOptions } from "../io/start-tls.ts";
import { createSubprocessTransport } from "../io/subprocess-transport.ts";
import type { SubprocessOptions, SubprocessTransport } from "../io/subprocess-transport.ts";
import type { Transport } from "../io/transport.ts";

/** The input and output of a loop. Everything that its methods open is closed when `run` ends. */
export abstract class LoopIo extends Scheduler {
  /** Both are made for the first use: the loops of durable runs have none. */
  #resources: OpenResources | null = null;
  #signalHandlers: SignalHandlers | null = null;

  /** @internal */
  get _resources(): OpenResources {
    return (this.#resources ??= new OpenResources(this._asEventLoop()));
  }

  /** @internal Returns whether the program handles a signal on this loop. */
  _handlesSignal(signal: NodeJS.Signals): boolean {
    return this.#signalHandlers?.has(signal) === true;
  }

  /**
   * Listens at `host` and `port`, or at the Unix socket `path`. Every connection is served by a new protocol
   * from `protocolFactory`. Node's errors (`EADDRINUSE` …) are thrown unchanged.
   *
   * ```ts
   * import { getRunningLoop, openConnection, Protocol, run, type Transport } from "@taskloom/loop";
   *
   * class Greeter extends Protocol {
   *   override connectionMade(transport: Transport): void {
   *     transport.write("hello");
   *     transport.close();
   *   }
   * }
   *
   * await run(async () => {
   *   const server = await getRunningLoop().createServer(() => new Greeter(), { host: "127.0.0.1" });
   *   const { reader, writer } = await openConnection({ host: "127.0.0.1", port: server.sockets()[0]!.port });
   *   console.log((await reader.read()).toString()); // hello
   *   writer.close();
   *   server.close();
   *   await server.waitClosed();
   * });
   * ```
   */
  createServer(protocolFactory: () => Protocol, options: ListenAt = {}): Coroutine<Server> {
    return createServer(this._asEventLoop(), this._resources, protocolFactory, options);
  }

  /**
   * Connects to `host` and `port`, or to the Unix socket `path`. Returns the transport and the protocol.
   * Node's errors (`ECONNREFUSED` …) are thrown unchanged.
   *
   * ```ts
   * import { Event, getRunningLoop, Protocol, run, startServer } from "@taskloom/loop";
   *
   * class Printer extends Protocol {
   *   readonly ended = new Event();
   *   override dataReceived(data: Buffer): void {
   *     console.log(data.toString()); // hello
   *   }
   *   override connectionLost(): void {
   *     this.ended.set();
   *   }
   * }
   *
   * await run(async () => {
   *   const server = await startServer(
   *     (_reader, writer) => {
   *       writer.write("hello");
   *       writer.close();
   *     },
   *     { host: "127.0.0.1" },
   *   );
   *   const [, printer] = await getRunningLoop().createConnection(() => new Printer(), {
   *     host: "127.0.0.1",
   *     port: server.sockets()[0]!.port,
   *   });
   *   await printer.ended.wait();
   *   server.close();
   * });
   * ```
   */
  createConnection<P extends Protocol>(
    protocolFactory: () => P,
    options: ConnectOptions,
  ): Coroutine<[transport: Transport, protocol: P]> {
    return createConnection(this._asEventLoop(), this._resources, protocolFactory, options);
  }

  /**
   * Opens a UDP endpoint at the address `local`. It communicates with every address, or only with `remote` if
   * that is set.
   *
   * ```ts
   * import { DatagramProtocol, getRunningLoop, run } from "@taskloom/loop";
   *
   * await run(async () => {
   *   const local = { host: "127.0.0.1" };
   *   const [transport] = await getRunningLoop().createDatagramEndpoint(() => new DatagramProtocol(), { local });
   *   console.log(transport.getExtraInfo("sockname")?.address); // 127.0.0.1
   *   transport.close();
   * });
   * ```
   */
  createDatagramEndpoint<P extends DatagramProtocol>(
    protocolFactory: () => P,
    options: DatagramOptions = {},
  ): Coroutine<[transport: DatagramTransport, protocol: P]> {
    return createDatagramEndpoint(this._asEventLoop(), this._resources, protocolFactory, options);
  }

  /**
   * Starts a program with a protocol for its events. The free function `createSubprocess` provides streams
   * instead. Node's errors (`ENOENT` …) are thrown unchanged.
   *
   * ```ts
   * import { Event, getRunningLoop, run, SubprocessProtocol } from "@taskloom/loop";
   *
   * class Output extends SubprocessProtocol {
   *   readonly ended = new Event();
   *   override pipeDataReceived(fd: number, data: Buffer): void {
   *     console.log(fd, data.toString().trim()); // 1 hello
   *   }
   *   override connectionLost(): void {
   *     this.ended.set();
   *   }
   * }
   *
   * await run(async () => {
   *   const loop = getRunningLoop();
   *   const [, output] = await loop.createSubprocess(() => new Output(), "echo", ["hello"], { stdout: "pipe" });
   *   await output.ended.wait();
   * });
   * ```
   */
  createSubprocess<P extends SubprocessProtocol>(
    protocolFactory: () => P,
    program: string,
    args: readonly string[] = [],
    options: SubprocessOptions = {},
  ): Coroutine<[transport: SubprocessTransport, protocol: P]> {
    return createSubprocessTransport(
      this._asEventLoop(),
      this._resources,
      protocolFactory,
      program,
      args,
      options,
    );
  }

  /**
   * Upgrades a plain connection to TLS, and returns the same transport. If the handshake fails, the
   * connection is closed and the error is thrown.
   *
   * ```ts
   * import { getRunningLoop, Protocol, run, startServer } from "@taskloom/loop";
   *
   * await run(async () => {
   *   const loop = getRunningLoop();
   *   const server = await startServer((_reader, writer) => writer.close(), { host: "127.0.0.1" });
   *   const [transport] = await loop.createConnection(() => new Protocol(), {
   *     host: "127.0.0.1",
   *     port: server.sockets()[0]!.port,
   *   });
   *   try {
   *     await loop.startTls(transport, { tls: { servername: "localhost" } });
   *   } catch {
   *     console.log("the other end does not speak TLS"); // the other end does not speak TLS
   *   }
   *   server.close();
   * });
   * ```
   */
  startTls(transport: Transport, options: StartTlsOptions): Coroutine<Transport> {
    return startTls(transport, options);
  }

  /**
   * Creates a transport that reads from a Node stream, such as `process.stdin`.
   *
   * ```ts
   * import { Readable } from "node:stream";
   * import { getRunningLoop, run, StreamReader, StreamReaderProtocol } from "@taskloom/loop";
   *
   * await run(async () => {
   *   const reader = new StreamReader();
   *   const stream = Readable.from([Buffer.from("one\ntwo\n")]);
   *   await getRunningLoop().connectReadPipe(() => new StreamReaderProtocol(reader), stream);
   *   for await (const line of reader) console.log(line.toString().trim()); // one two
   * });
   * ```
   */
  connectReadPipe<P extends Protocol>(
    protocolFactory: () => P,
    stream: Readable,
  ): Coroutine<[transport: Transport, protocol: P]> {
    return connectPipe(this._asEventLoop(), this._resources, protocolFactory, stream);
  }

  /**
   * Creates a transport that writes to a Node stream, such as `process.stdout`.
   *
   * ```ts
   * import { Writable } from "node:stream";
   * import { getRunningLoop, Protocol, run } from "@taskloom/loop";
   *
   * await run(async () => {
   *   const stream = new Writable({
   *     write(chunk, _encoding, done) {
   *       console.log(String(chunk)); // hello
   *       done();
   *     },
   *   });
   *   const [transport] = await getRunningLoop().connectWritePipe(() => new Protocol(), stream);
   *   transport.write("hello");
   *   transport.close();
   * });
   * ```
   */
  connectWritePipe<P extends Protocol>(
    protocolFactory: () => P,
    stream: Writable | Duplex,
  ): Coroutine<[transport: Transport, protocol: P]> {
    return connectPipe(this._asEventLoop(), this._resources, protocolFactory, stream);
  }

  /**
   * Calls `callback(...args)` through the loop when the process receives `signal`. A loop has one handler for
   * each signal, and the handler replaces the handling of SIGINT and SIGTERM by `run`.
   *
   * ```ts
   * import { Event, getRunningLoop, run } from "@taskloom/loop";
   *
   * await run(async () => {
   *   const reload = new Event();
   *   getRunningLoop().addSignalHandler("SIGHUP", () => reload.set());
   *   process.kill(process.pid, "SIGHUP");
   *   await reload.wait();
   *   console.log("reloading"); // reloading
   * });
   * ```
   *
   * @throws {@link ArgumentError} for a signal that cannot be handled.
   */
  addSignalHandler<A extends unknown[]>(
    signal: NodeJS.Signals,
    callback: (...args: A) => unknown,
    ...args: A
  ): void {
    (this.#signalHandlers ??= new SignalHandlers(this._asEventLoop())).add(signal, () => callback(...args));
  }

  /**
   * Removes the handler of a signal. Returns false if there was none.
   *
   * ```ts
   * import { getRunningLoop, run } from "@taskloom/loop";
   *
   * await run(async () => {
   *   const loop = getRunningLoop();
   *   loop.addSignalHandler("SIGHUP", () => {});
   *   console.log(loop.removeSignalHandler("SIGHUP"), loop.removeSignalHandler("SIGHUP")); // true false
   * });
   * ```
   */
  removeSignalHandler(signal: NodeJS.Signals): boolean {
    return this.#signalHandlers?.remove(signal) === true;
  }

  /** @internal Closes everything when the loop ends, because open resources would keep the process alive. */
  _closeIo(): void {
    this.#signalHandlers?.removeAll();
    this.#resources?.abortAll();
  }

  /** @internal Closes everything, and waits until Node has closed it. */
  async _shutdownIo(): Promise<void> {
    this.#signalHandlers?.removeAll();
    await this.#resources?.closeAll();
  }
}
