import type { ListenOptions, Server as NodeServer, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { ArgumentError, CancelledError, UsageError } from "../errors.ts";
import { describesItself } from "../describe.ts";
import type { Loop, UserLoop } from "../kernel/loop.ts";
import type { Life, LifeState } from "../lifecycle.ts";
import type { Coroutine } from "../task/coroutine.ts";
import type { Future } from "../task/future.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { socketAddress } from "./address.ts";
import type { SocketAddress } from "./address.ts";
import { LONGEST_DELAY } from "../timer.ts";
import { builtin } from "./builtin.ts";
import { outsideTask } from "./callback.ts";
import { eventFuture, ignoreErrors } from "./event-future.ts";
import type { OpenResource, OpenResources } from "./open-resources.ts";
import type { Protocol } from "./protocol.ts";
import type { ListenAt } from "./listen-at.ts";
import { handshakeTimeoutOf } from "./tls-options.ts";
import { Transport } from "./transport.ts";
import { Waiters } from "./waiters.ts";

/** Creates a server that makes a protocol for each connection. */
export function createServer(
  loop: Loop,
  resources: OpenResources,
  protocolFactory: () => Protocol,
  options: ListenAt,
): Coroutine<Server> {
  return routine(
    "createServer",
    function* () {
      if (typeof protocolFactory !== "function") {
        throw new ArgumentError("Expected `protocolFactory` to be a function that returns a protocol");
      }
      const server = new Server(loop, resources, protocolFactory, options);
      if (options.startServing !== false) yield* server.startServing();
      return server;
    },
    options.signal,
  );
}

/**
 * A listening server, made by `loop.createServer` or `startServer`.
 *
 * A server is IDLE (with `startServing: false`), then LISTENING. After `close()` it is CLOSED: it accepts no
 * connection and serves the open connections. It has ended when its last connection is gone, and `waitClosed`
 * returns. With `await using`, disposing the server closes it and waits for its end.
 *
 * ```ts
 * import { getRunningLoop, Protocol, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   const server = await loop.createServer(() => new Protocol(), { host: "127.0.0.1" });
 *   console.log(server.isServing(), server.sockets().length); // true 1
 *   server.close();
 *   await server.waitClosed();
 * });
 * ```
 */
export class Server implements OpenResource, Life {
  readonly #loop: Loop;
  readonly #resources: OpenResources;
  readonly #protocolFactory: () => Protocol;
  readonly #options: ListenAt;
  readonly #clients = new Set<OpenResource>();
  readonly #handshaking = new Set<Duplex>();
  #listeners: NodeServer[] = [];
  #closing = 0;
  /** `stopping` from `close()` until the last listener and the last connection are gone. */
  #state: LifeState = "open";
  readonly #waiters: Waiters<void>;
  #forever: Future<never> | null = null;

  /** Made by the library. */
  constructor(loop: Loop, resources: OpenResources, protocolFactory: () => Protocol, options: ListenAt) {
    this.#loop = loop;
    this.#resources = resources;
    this.#protocolFactory = protocolFactory;
    this.#options = options;
    this.#waiters = new Waiters(loop);
  }

  /**
   * Starts to listen, unless the server listens already.
   *
   * @throws {@link UsageError} if the server is closed.
   */
  startServing(options: SignalOption = {}): Coroutine<void> {
    return routine("startServing", () => this.#listen(), options.signal);
  }

  *#listen(): Generator<never, void, unknown> {
    if (this.#state !== "open")
      throw new UsageError("SERVER_CLOSED", "The server is closed: create a new one");
    if (this.#listeners.length > 0) return;
    this.#resources.add(this);
    try {
      const hosts = this.#options.path === undefined ? [this.#options.host].flat() : [undefined];
      for (const host of hosts) {
        const listener = outsideTask(() => this.#makeListener());
        this.#listeners.push(listener);
        const ready = eventFuture(this.#loop, listener, "listening");
        outsideTask(() => listener.listen(this.#listenOptions(host)));
        yield* ready;
        listener.on("error", (error) => this.#report("A listening socket failed", error));
      }
    } catch (error) {
      for (const listener of this.#listeners) ignoreErrors(listener);
      this.close();
      throw error;
    }
  }

  #listenOptions(host: string | undefined): ListenOptions {
    const { path, port, backlog, reusePort } = this.#options;
    return {
      ...(path === undefined ? { port: port ?? 0 } : { path }),
      ...(host === undefined ? {} : { host }),
      ...(backlog === undefined ? {} : { backlog }),
      ...(reusePort === undefined ? {} : { reusePort }),
    };
  }

  #makeListener(): NodeServer {
    const { tls, keepAlive, maxConnections } = this.#options;
    const socketOptions = {
      noDelay: true,
      ...(keepAlive === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: keepAlive }),
    };
    const accept = (socket: Duplex): void => this.#accept(socket);
    const listener =
      tls === undefined
        ? builtin.net.createServer({ ...socketOptions, allowHalfOpen: true }, accept)
        : builtin.tls.createServer(
            { ...tls, handshakeTimeout: Math.min(handshakeTimeoutOf(tls), LONGEST_DELAY), ...socketOptions },
            (socket) => {
              // Node keeps the bare socket in this property. Its handshake is over.
              this.#handshaking.delete((socket as { _parent?: Duplex })._parent ?? socket);
              // This is not set earlier: if a client leaves during the handshake, no half-open socket may
              // remain.
              socket.allowHalfOpen = true;
              accept(socket);
            },
          );
    if (tls !== undefined) {
      listener.on("connection", (socket: Duplex) => {
        this.#handshaking.add(socket);
        socket.once("close", () => this.#handshaking.delete(socket));
      });
      // As in asyncio, a failed handshake is reported only in debug mode, because the client causes it.
      listener.on("tlsClientError", (error: Error, socket: Socket) => {
        if (this.#loop.getDebug()) this.#report("A TLS handshake failed", error);
        socket.destroy();
      });
    }
    listener.on("listening", () => {
      if (this.#state !== "open") listener.close(); // the server was closed during the lookup of its host name
    });
    if (maxConnections !== undefined) listener.maxConnections = maxConnections;
    return listener;
  }

  #accept(socket: Duplex): void {
    let protocol: Protocol;
    try {
      protocol = this.#protocolFactory();
    } catch (error) {
      this.#report("The protocol factory failed", error);
      socket.destroy();
      return;
    }
    new Transport(this.#loop, socket, protocol, this)._begin();
  }

  #report(message: string, exception: unknown): void {
    this.#loop.callExceptionHandler({ message, exception });
  }

  /** @internal */
  add(client: OpenResource): void {
    this.#clients.add(client);
  }

  /** @internal */
  delete(client: OpenResource): void {
    this.#clients.delete(client);
    this.#endIfDone();
  }

  /** `open` until `close()`; `stopped` when the last connection is gone. */
  get state(): LifeState {
    return this.#state;
  }

  /** Returns the server's loop. */
  getLoop(): UserLoop {
    return this.#loop._asEventLoop();
  }

  /** Returns whether the server accepts connections. */
  isServing(): boolean {
    return this.#state === "open" && this.#listeners.some((listener) => listener.listening);
  }

  /** Returns the addresses at which the server listens; empty once the server is closed. */
  sockets(): SocketAddress[] {
    return this.#listeners.flatMap((listener) => {
      const bound = listener.address();
      if (bound === null) return [];
      if (typeof bound === "string") return [{ family: "unix" as const, address: bound, port: 0 }];
      return socketAddress(bound.address, bound.port, bound.family) ?? [];
    });
  }

  /**
   * Accepts connections until the server is closed or this call is cancelled. It then throws a
   * CancelledError, after the open connections have ended.
   *
   * @throws {@link UsageError} if the server is closed, or if another call of `serveForever` runs.
   */
  serveForever(options: SignalOption = {}): Coroutine<never> {
    return routine("serveForever", () => this.#serveForever(), options.signal);
  }

  *#serveForever(): Generator<never, never, unknown> {
    if (this.#forever !== null) {
      throw new UsageError("ALREADY_SERVING", "server is already being awaited on serveForever()");
    }
    yield* this.#listen();
    this.#forever = this.#loop.createFuture<never>();
    try {
      return yield* this.#forever;
    } catch (error) {
      if (error instanceof CancelledError) {
        this.close();
        yield* this.#waitClosed();
      }
      throw error;
    } finally {
      this.#forever = null;
    }
  }

  /** Stops accepting connections. Open connections continue; `closeClients` and `abortClients` end them. */
  close(): void {
    if (this.#state !== "open") return;
    this.#state = "stopping";
    this.#closing = this.#listeners.length;
    for (const listener of this.#listeners) {
      listener.once("close", () => {
        this.#closing--;
        this.#endIfDone();
      });
      if (listener.listening) listener.close();
      else listener.emit("close");
    }
    this.#forever?.cancel();
    this.#endIfDone();
  }

  /** Closes every connection after its buffer has been sent. */
  closeClients(): void {
    for (const client of this.#clients) (client as Transport).close();
    for (const socket of this.#handshaking) socket.destroy();
  }

  /** Closes every connection at once. Unsent data is lost. */
  abortClients(): void {
    for (const client of this.#clients) client.abort();
    for (const socket of this.#handshaking) socket.destroy();
  }

  /** @internal */
  abort(): void {
    this.close();
    this.abortClients();
  }

  /** Waits until the server is closed and its last connection is gone. */
  waitClosed(options: SignalOption = {}): Coroutine<void> {
    return routine("waitClosed", () => this.#waitClosed(), options.signal);
  }

  *#waitClosed(): Generator<never, void, unknown> {
    if (this.#state !== "stopped") yield* this.#waiters.wait();
  }

  #endIfDone(): void {
    if (this.#state !== "stopping" || this.#closing > 0 || this.#clients.size > 0) return;
    this.#state = "stopped";
    this.#resources.delete(this);
    this.#waiters.succeed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.waitClosed();
  }

  /** @internal */
  _describe(): string {
    const where = this.sockets().map((at) =>
      at.family === "unix" ? ` ${at.address}` : ` ${at.address}:${at.port}`,
    );
    return `<Server ${this.#state === "open" ? "open" : "closed"}${where.join()} clients=${this.#clients.size}>`;
  }
}

describesItself(Server);
