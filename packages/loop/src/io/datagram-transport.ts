import type { Socket, SocketType } from "node:dgram";
import { constants } from "node:os";
import { ArgumentError } from "../errors.ts";
import { describe, describesItself } from "../describe.ts";
import type { Loop } from "../kernel/loop.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { builtin } from "./builtin.ts";
import { asCallback, outsideTask } from "./callback.ts";
import { eventFuture, ignoreErrors } from "./event-future.ts";
import type { OpenResource, OpenResources } from "./open-resources.ts";
import type { DatagramProtocol } from "./protocol.ts";
import { DEFAULT_LIMITS, writeBufferLimits } from "./write-buffer-limits.ts";
import type { WriteBufferLimits } from "./write-buffer-limits.ts";

/** The source or the destination of a datagram. */
export interface UdpAddress {
  /** The IP address. */
  readonly address: string;
  /** The port. */
  readonly port: number;
}

/** The options of `loop.createDatagramEndpoint`. */
export interface DatagramOptions extends SignalOption {
  /** The address to receive at; a free port of all interfaces by default. */
  local?: { host?: string | undefined; port?: number | undefined } | undefined;
  /** The only address to send to and to receive from. */
  remote?: { host?: string | undefined; port: number } | undefined;
  /** The IP version, 4 (the default) or 6. */
  family?: 4 | 6 | undefined;
  /** Binds an address that another socket with this option uses. */
  reuseAddr?: boolean | undefined;
  /** Lets several sockets bind the port; the system distributes datagrams among them (Linux 3.9 or later). */
  reusePort?: boolean | undefined;
  /** Permits sending to broadcast addresses. */
  broadcast?: boolean | undefined;
}

/** Opens a datagram endpoint, and returns its transport and protocol. */
export function createDatagramEndpoint<P extends DatagramProtocol>(
  loop: Loop,
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
 * A datagram endpoint. It is OPEN, then CLOSING after `close` until its send queue is empty, and then closed;
 * at that point `protocol.connectionLost` is called.
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
  readonly #loop: Loop;
  readonly #socket: Socket;
  #protocol: DatagramProtocol;
  readonly #resources: OpenResources;
  readonly #isConnected: boolean;
  #limits: WriteBufferLimits = DEFAULT_LIMITS;
  #isWritingPaused = false;
  #isClosing = false;
  #isClosed = false;
  #sending = 0;

  /** Made by the library. */
  constructor(
    loop: Loop,
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

  /**
   * As in asyncio, the endpoint survives errors that its protocol throws: one bad datagram must not end the
   * service.
   */
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
   * Sends a datagram. `to` is omitted if and only if the endpoint has a remote address. If the system refuses
   * a destination, port 0 included, `protocol.errorReceived` receives the error.
   *
   * @throws {@link ArgumentError} if `data` or `to` has the wrong type.
   */
  sendTo(data: string | Uint8Array, to?: UdpAddress): void {
    if (typeof data !== "string" && !(data instanceof Uint8Array)) {
      throw new ArgumentError(`Expected \`data\` to be a string or bytes, got ${describe(data)}`);
    }
    if ((to === undefined) !== this.#isConnected) {
      throw new ArgumentError(
        this.#isConnected
          ? "Expected no `to`: this endpoint sends to its remote address only"
          : "Expected `to` to be an address: this endpoint has no remote address",
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
    // Node throws for port 0. A sender can forge that port, and a reply to it must not throw in
    // `datagramReceived`.
    if (to?.port === 0) this.#loop.callSoon(sent, noSuchPort(to));
    else if (to === undefined) this.#socket.send(bytes, sent);
    else this.#socket.send(bytes, to.port, to.address, sent);
    this.#sending++; // `sent` is never called synchronously, and not at all if `send` throws
    if (!this.#isWritingPaused && this.getWriteBufferSize() > this.#limits.high) {
      this.#isWritingPaused = true;
      this.#call("pauseWriting", () => this.#protocol.pauseWriting());
    }
  }

  /** Returns the number of bytes that wait to be sent. */
  getWriteBufferSize(): number {
    return this.#isClosed ? 0 : this.#socket.getSendQueueSize();
  }

  /** Returns the limits of flow control, in bytes. */
  getWriteBufferLimits(): WriteBufferLimits {
    return this.#limits;
  }

  /** Sets the limits of flow control, in bytes. */
  setWriteBufferLimits(limits: Partial<WriteBufferLimits> = {}): void {
    this.#limits = writeBufferLimits(limits);
  }

  /** Returns the address of this end (`sockname`) or of the remote end (`peername`), if there is one. */
  getExtraInfo(name: "sockname" | "peername"): UdpAddress | undefined;
  /** Returns Node's own socket. */
  getExtraInfo(name: "socket"): Socket;
  getExtraInfo(name: "sockname" | "peername" | "socket"): UdpAddress | Socket | undefined {
    if (name === "socket") return this.#socket;
    if (this.#isClosed || (name === "peername" && !this.#isConnected)) return undefined;
    const { address, port } = name === "sockname" ? this.#socket.address() : this.#socket.remoteAddress();
    return { address, port };
  }

  /** Returns the protocol that receives the events. */
  getProtocol(): DatagramProtocol {
    return this.#protocol;
  }

  /** Replaces the protocol that receives the events. */
  setProtocol(protocol: DatagramProtocol): void {
    this.#protocol = protocol;
  }

  /** Returns whether the endpoint is closed or closing. */
  isClosing(): boolean {
    return this.#isClosing;
  }

  /** Stops receiving, sends the datagrams in the queue, then closes. */
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

/** Returns the error that the system reports for a datagram to port 0. */
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
