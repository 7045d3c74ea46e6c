import type { Duplex, Readable, Writable } from "node:stream";
import type { Clock } from "../kernel/clock.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import { Scheduler } from "../kernel/scheduler.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { type ConnectOptions, createConnection } from "./connection.ts";
import {
  createDatagramEndpoint,
  type DatagramOptions,
  type DatagramTransport,
} from "./datagram-transport.ts";
import { OpenResources } from "./open-resources.ts";
import { connectPipe } from "./pipes.ts";
import type { DatagramProtocol, Protocol, SubprocessProtocol } from "./protocol.ts";
import { createServer, type ListenAt, type Server } from "./server.ts";
import { SignalHandlers } from "./signal-handlers.ts";
import { startTls, type StartTlsOptions } from "./start-tls.ts";
import {
  createSubprocessTransport,
  type SubprocessOptions,
  type SubprocessTransport,
} from "./subprocess-transport.ts";
import type { Transport } from "./transport.ts";

/** The part of a loop that reaches outside: what its methods make is closed when `run` ends. */
export abstract class LoopIo extends Scheduler {
  /** @internal */
  readonly _resources: OpenResources;
  /** @internal */
  readonly _signalHandlers: SignalHandlers;

  protected constructor(clock: Clock) {
    super(clock);
    this._resources = new OpenResources(this.#loop);
    this._signalHandlers = new SignalHandlers(this.#loop);
  }

  get #loop(): EventLoop {
    return this as unknown as EventLoop;
  }

  /**
   * Listens at `host` and `port`, or at the Unix socket `path`, and has a protocol of `protocolFactory` serve
   * every connection. Node's errors (`EADDRINUSE` …) are thrown as they are.
   */
  createServer(protocolFactory: () => Protocol, options: ListenAt = {}): Coroutine<Server> {
    return createServer(this.#loop, this._resources, protocolFactory, options);
  }

  /** Connects to `host` and `port`, or to the Unix socket `path`, and gives the transport and the protocol. */
  createConnection<P extends Protocol>(
    protocolFactory: () => P,
    options: ConnectOptions,
  ): Coroutine<[transport: Transport, protocol: P]> {
    return createConnection(this.#loop, this._resources, protocolFactory, options);
  }

  /** Opens a UDP endpoint. */
  createDatagramEndpoint<P extends DatagramProtocol>(
    protocolFactory: () => P,
    options: DatagramOptions = {},
  ): Coroutine<[transport: DatagramTransport, protocol: P]> {
    return createDatagramEndpoint(this.#loop, this._resources, protocolFactory, options);
  }

  /** Starts a program, with a protocol for what it does; the free function `createSubprocess` gives streams. */
  createSubprocess<P extends SubprocessProtocol>(
    protocolFactory: () => P,
    program: string,
    args: readonly string[] = [],
    options: SubprocessOptions = {},
  ): Coroutine<[transport: SubprocessTransport, protocol: P]> {
    return createSubprocessTransport(this.#loop, this._resources, protocolFactory, program, args, options);
  }

  /** Goes on over TLS with a connection that was begun in the clear. The same transport is given back. */
  startTls(transport: Transport, options: StartTlsOptions): Coroutine<Transport> {
    return startTls(transport, options);
  }

  /** A transport that reads from a Node stream, such as `process.stdin`. */
  connectReadPipe<P extends Protocol>(
    protocolFactory: () => P,
    stream: Readable,
  ): Coroutine<[transport: Transport, protocol: P]> {
    return connectPipe(this.#loop, this._resources, protocolFactory, stream);
  }

  /** A transport that writes to a Node stream. */
  connectWritePipe<P extends Protocol>(
    protocolFactory: () => P,
    stream: Writable | Duplex,
  ): Coroutine<[transport: Transport, protocol: P]> {
    return connectPipe(this.#loop, this._resources, protocolFactory, stream);
  }

  /**
   * Calls `callback(...args)` through the loop when the process gets `signal`. A loop has one handler a
   * signal; `run`'s own handling of SIGINT and SIGTERM stands back for it.
   */
  addSignalHandler<A extends unknown[]>(
    signal: NodeJS.Signals,
    callback: (...args: A) => unknown,
    ...args: A
  ): void {
    this._signalHandlers.add(signal, () => callback(...args));
  }

  /** Takes the handler away. False when there was none. */
  removeSignalHandler(signal: NodeJS.Signals): boolean {
    return this._signalHandlers.remove(signal);
  }

  /** @internal The loop ends: Node would keep the process alive for what is open. */
  _closeIo(): void {
    this._signalHandlers.removeAll();
    this._resources.abortAll();
  }

  /** @internal The same, and waits until all is closed. */
  async _shutdownIo(): Promise<void> {
    this._signalHandlers.removeAll();
    await this._resources.closeAll();
  }
}
