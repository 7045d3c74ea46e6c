import type { Socket, SocketType } from "node:dgram";
import { constants } from "node:os";
import { ArgumentError } from "../errors.ts";
import { describe, describesItself } from "../diagnosis/describe.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../waiting/routine.ts";
import type { SignalOption } from "../waiting/signal.ts";
import { builtin } from "./builtin.ts";
import { asCallback, outsideTask } from "./callback.ts";
import { eventFuture, ignoreErrors } from "./event-future.ts";
import type { OpenResource, OpenResources } from "./open-resources.ts";
import type { DatagramProtocol } from "./protocol.ts";
import { defaultLimits, writeBufferLimits } from "./write-buffer-limits.ts";
import type { WriteBufferLimits } from "./write-buffer-limits.ts";

/** Where a datagram comes from or goes to. */
export interface UdpAddress {
  /** The IP address. */
  readonly address: string;
  /** The port. */
  readonly port: number;
}

/** Options of `loop.createDatagramEndpoint`. */
export interface DatagramOptions extends SignalOption {
  /** Where to receive; a free port of all interfaces by default. */
  local?: { host?: string | undefined; port?: number | undefined } | undefined;
  /** Send to this address, and receive from no other. */
  remote?: { host?: string | undefined; port: number } | undefined;
  /** 4 (the default) or 6. */
  family?: 4 | 6 | undefined;
  /** Bind an address that is in use by a socket that allows it too. */
  reuseAddr?: boolean | undefined;
  /** Several sockets may bind the port, and the system spreads datagrams over them (Linux 3.9 or later). */
  reusePort?: boolean | undefined;
  /** May send to broadcast addresses. */
  broadcast?: boolean | undefined;
}

/** Opens a datagram endpoint, and gives its transport and protocol. */
export function createDatagramEndpoint<P extends DatagramProtocol>(
  loop: EventLoop,
  resources: OpenResources,
  protocolFactory: () => P,
  options: DatagramOptions,
): Coroutine<[transport: DatagramTransport, protocol: P]> {
  return routine(
    "createDatagramEndpoint",
    function* () {
      const { local = {}, remote, family, reuseAddr, reusePort, broadcast } = options;
      const type: SocketType = family === 6 ? "udp6" : "udp4";
      const socket = outsideTask(() =>
        builtin.dgram.createSocket({
          type,
          ...(reuseAddr === undefined ? {} : { reuseAddr }),
          ...(reusePort === undefined ? {} : { reusePort }),
        }),
      );
      try {
        const bound = eventFuture(loop, socket, "listening");
        outsideTask(() =>
          socket.bind({
            port: local.port ?? 0,
            ...(local.host === undefined ? {} : { address: local.host }),
          }),
        );
        yield* bound;
        if (broadcast === true) socket.setBroadcast(true);
        if (remote !== undefined) {
          const connected = eventFuture(loop, socket, "connect");
          outsideTask(() => socket.connect(remote.port, remote.host));
          yield* connected;
        }
      } catch (error) {
        ignoreErrors(socket);
        socket.close();
        throw error;
      }
      const protocol = protocolFactory();
      const transport = new DatagramTransport(loop, socket, protocol, resources, remote !== undefined);
      transport._begin();
      return [transport, protocol] as [DatagramTransport, P];
    },
    options.signal,
  );
}

/**
 * A datagram endpoint. OPEN -> CLOSING (`close`: what is in the send queue still goes) -> closed, where
 * `protocol.connectionLost` is called.
 *
 * ```ts
 * import { DatagramProtocol, Event, getRunningLoop, run } from "@taskloom/loop";
 *
 * class Printer extends DatagramProtocol {
 *   override datagramReceived(data: Buffer): void {
 *     console.log(data.toString()); // ping
 *     received.set();
 *   }
 * }
 * const received = new Event();
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   const [receiver] = await loop.createDatagramEndpoint(() => new Printer(), { local: { host: "127.0.0.1", port: 0 } });
 *   const [sender] = await loop.createDatagramEndpoint(() => new DatagramProtocol(), { local: { host: "127.0.0.1", port: 0 } });
 *   sender.sendTo("ping", receiver.getExtraInfo("sockname"));
 *   await received.wait();
 * });
 * ```
 */
export class DatagramTransport implements OpenResource {
  readonly #loop: EventLoop;
  readonly #socket: Socket;
  #protocol: DatagramProtocol;
  readonly #resources: OpenResources;
  readonly #isConnected: boolean;
  #limits: WriteBufferLimits = defaultLimits;
  #isWritingPaused = false;
  #isClosing = false;
  #isClosed = false;
  #sending = 0;

  /** Made by the library. */
  constructor(
    loop: EventLoop,
    socket: Socket,
    protocol: DatagramProtocol,
    resources: OpenResources,
    isConnected: boolean,
  ) {
    this.#loop = loop;
    this.#socket = socket;
    this.#protocol = protocol;
    this.#resources = resources;
    this.#isConnected = isConnected;
  }

  /** @internal */
  _begin(): void {
    this.#resources.add(this);
    this.#socket.on("message", (data, from) => {
      if (!this.#isClosing) {
        this.#call("datagramReceived", () =>
          this.#protocol.datagramReceived(data, { address: from.address, port: from.port }),
        );
      }
    });
    this.#socket.on("error", (error) => this.#errorReceived(error));
    this.#socket.on("close", () => {
      this.#resources.delete(this);
      this.#call("connectionLost", () => this.#protocol.connectionLost(null));
    });
    this.#call("connectionMade", () => this.#protocol.connectionMade(this));
  }

  /** The endpoint outlives whatever its protocol throws, as in asyncio: one bad datagram must not end the service. */
  #call(method: keyof DatagramProtocol, fn: () => void): void {
    try {
      asCallback(this.#loop, fn);
    } catch (exception) {
      this.#loop.callExceptionHandler({
        message: `protocol.${method}() failed`,
        exception,
        transport: this,
      });
    }
  }

  #errorReceived(error: Error): void {
    this.#call("errorReceived", () => this.#protocol.errorReceived(error));
  }

  /**
   * Sends a datagram; `to` is left out when the endpoint has a remote address, and only then. A destination that
   * the system refuses, port 0 included, is reported to `protocol.errorReceived`. Throws an ArgumentError if `data`
   * or `to` has the wrong type.
   */
  sendTo(data: string | Uint8Array, to?: UdpAddress): void {
    if (typeof data !== "string" && !(data instanceof Uint8Array)) {
      throw new ArgumentError(`Expected a string or bytes to send, got ${describe(data)}`);
    }
    if ((to === undefined) !== this.#isConnected) {
      throw new ArgumentError(
        this.#isConnected
          ? "Expected no address: this endpoint sends to its remote address only"
          : "Expected an address to send to: this endpoint was made without a remote one",
      );
    }
    if (to !== undefined) checkAddress(to);
    if (this.#isClosing) return;
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    const sent = (error: Error | null): void => {
      this.#sending--;
      if (error !== null && !this.#isClosed) this.#errorReceived(error);
      if (this.#isWritingPaused && this.getWriteBufferSize() <= this.#limits.low) {
        this.#isWritingPaused = false;
        this.#call("resumeWriting", () => this.#protocol.resumeWriting());
      }
      if (this.#isClosing && this.#sending === 0) this.#shut();
    };
    // Node throws for port 0, which a datagram's sender may forge: its reply must not throw in `datagramReceived`.
    if (to?.port === 0) this.#loop.callSoon(sent, noSuchPort(to));
    else if (to === undefined) this.#socket.send(bytes, sent);
    else this.#socket.send(bytes, to.port, to.address, sent);
    this.#sending++; // `sent` is never called at once, and not at all if `send` throws
    if (!this.#isWritingPaused && this.getWriteBufferSize() > this.#limits.high) {
      this.#isWritingPaused = true;
      this.#call("pauseWriting", () => this.#protocol.pauseWriting());
    }
  }

  /** How many bytes wait to be sent. */
  getWriteBufferSize(): number {
    return this.#isClosed ? 0 : this.#socket.getSendQueueSize();
  }

  /** The marks of flow control, in bytes. */
  getWriteBufferLimits(): WriteBufferLimits {
    return this.#limits;
  }

  /** Sets the marks of flow control, in bytes. */
  setWriteBufferLimits(limits: Partial<WriteBufferLimits> = {}): void {
    this.#limits = writeBufferLimits(limits);
  }

  /** This end (`sockname`), or the other (`peername`) when there is one. */
  getExtraInfo(name: "sockname" | "peername"): UdpAddress | undefined;
  /** Node's own object. */
  getExtraInfo(name: "socket"): Socket;
  getExtraInfo(name: "sockname" | "peername" | "socket"): UdpAddress | Socket | undefined {
    if (name === "socket") return this.#socket;
    if (this.#isClosed || (name === "peername" && !this.#isConnected)) return undefined;
    const { address, port } = name === "sockname" ? this.#socket.address() : this.#socket.remoteAddress();
    return { address, port };
  }

  /** The protocol that gets the calls. */
  getProtocol(): DatagramProtocol {
    return this.#protocol;
  }

  /** From now on, `protocol` gets the calls. */
  setProtocol(protocol: DatagramProtocol): void {
    this.#protocol = protocol;
  }

  /** Whether it is closed, or about to be. */
  isClosing(): boolean {
    return this.#isClosing;
  }

  /** Receives nothing more, sends what was given to it, then closes. */
  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#sending === 0) this.#shut();
  }

  /** Closes at once. */
  abort(): void {
    this.#isClosing = true;
    this.#shut();
  }

  #shut(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }

  /** @internal */
  _describe(): string {
    return `<DatagramTransport ${this.#isClosing ? "closing" : "open"}>`;
  }
}

describesItself(DatagramTransport);

function checkAddress(to: UdpAddress): void {
  if (typeof to !== "object" || to === null || typeof to.address !== "string" || to.address === "") {
    throw new ArgumentError(`Expected \`to\` to be { address, port } with an address, got ${describe(to)}`);
  }
  if (!Number.isInteger(to.port) || to.port < 0 || to.port > 65_535) {
    throw new ArgumentError(
      `Expected \`to.port\` to be a whole number up to 65535, got ${describe(to.port)}`,
    );
  }
}

/** The system's own error for a datagram to port 0. */
function noSuchPort({ address, port }: UdpAddress): NodeJS.ErrnoException {
  const error = new Error(`send EINVAL ${address}:${port}`);
  return Object.assign(error, {
    code: "EINVAL",
    errno: -constants.errno.EINVAL,
    syscall: "send",
    address,
    port,
  });
}
