import type { TcpNetConnectOpts } from "node:net";
import type { Duplex } from "node:stream";
import { ArgumentError } from "../errors.ts";
import { describe } from "../describe.ts";
import type { Loop } from "../kernel/loop.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { builtin } from "./builtin.ts";
import { outsideTask } from "./callback.ts";
import { eventFuture, ignoreErrors } from "./event-future.ts";
import { handshake } from "./handshake.ts";
import type { Owner } from "./open-resources.ts";
import type { Protocol } from "./protocol.ts";
import { handshakeTimeoutOf } from "./tls-options.ts";
import type { ClientTls } from "./tls-options.ts";
import { Transport } from "./transport.ts";

/** The options of `loop.createConnection`. */
export interface ConnectOptions extends SignalOption {
  /** The host's name or address; `localhost` by default. */
  host?: string | undefined;
  /** The host's port. */
  port?: number | undefined;
  /** The path of a Unix socket, instead of `host` and `port`. */
  path?: string | undefined;
  /** A connected socket, instead of `host` and `port` or `path`. */
  socket?: Duplex | undefined;
  /** The TLS options; without them, the connection is not encrypted. */
  tls?: ClientTls | undefined;
  /** Restricts the connection to addresses of one family, 4 or 6. */
  family?: 4 | 6 | undefined;
  /** The local address of the connection. */
  localAddress?: string | undefined;
  /** The local port of the connection. */
  localPort?: number | undefined;
  /** Milliseconds of silence before the first keep-alive probe. Probes detect a peer that is gone. */
  keepAlive?: number | undefined;
}

/** Connects, and returns the transport and the protocol from `protocolFactory`. */
export function createConnection<P extends Protocol>(
  loop: Loop,
  owner: Owner,
  protocolFactory: () => P,
  options: ConnectOptions,
): Coroutine<[transport: Transport, protocol: P]> {
  return routine(
    "createConnection",
    function* () {
      const socket = yield* connect(loop, options);
      const protocol = protocolFactory();
      const transport = new Transport(loop, socket, protocol, owner);
      transport._begin();
      return [transport, protocol] as [Transport, P];
    },
    options.signal,
  );
}

/** Returns a connected socket. A cancellation closes the socket. */
function* connect(loop: Loop, options: ConnectOptions): Generator<never, Duplex, unknown> {
  const { tls } = options;
  if (options.socket === undefined && options.path === undefined && options.port === undefined) {
    throw new ArgumentError("Expected a `port`, a `path` or a `socket` to connect to, got none of them");
  }
  let socket: Duplex = options.socket ?? outsideTask(() => builtin.net.connect(netOptions(options)));
  if (options.socket === undefined) {
    try {
      yield* eventFuture(loop, socket, "connect", ["error", "close"]);
    } catch (error) {
      discard(socket);
      throw error;
    }
  }
  if (tls !== undefined) {
    socket = yield* secure(loop, socket, { servername: serverName(options.host), ...asObject(tls) });
  }
  return socket;
}

function netOptions(options: ConnectOptions): TcpNetConnectOpts {
  const { path, host, port, family, localAddress, localPort, keepAlive } = options;
  const chosen = path === undefined ? { host: host ?? "localhost", port } : { path };
  return {
    ...chosen,
    ...(family === undefined ? {} : { family }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === undefined ? {} : { localPort }),
    ...(keepAlive === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: keepAlive }),
    // The protocol decides in `eofReceived` whether the connection outlives the other end's EOF.
    allowHalfOpen: true,
    noDelay: true,
  } as TcpNetConnectOpts;
}

/** Performs the client's side of a TLS handshake over a connected socket. */
export function* secure(
  loop: Loop,
  socket: Duplex,
  options: Exclude<ClientTls, true>,
): Generator<never, Duplex, unknown> {
  const { handshakeTimeout: _, ...rest } = options;
  let secured: Duplex | undefined;
  try {
    yield* handshake(loop, socket, handshakeTimeoutOf(options), () => {
      secured = outsideTask(() => builtin.tls.connect({ ...rest, socket }));
      return eventFuture(loop, secured, "secureConnect", ["error", "close"]);
    });
  } catch (error) {
    discard(secured ?? socket);
    throw error;
  }
  secured!.allowHalfOpen = true; // not before, so that an EOF during the handshake ends the connection
  return secured!;
}

function discard(socket: Duplex): void {
  ignoreErrors(socket);
  socket.destroy();
}

/** Returns the server name for TLS. An address is no server name: Node refuses it. */
function serverName(host: string | undefined): string {
  return host === undefined || builtin.net.isIP(host) !== 0 ? "" : host;
}

export function asObject(tls: ClientTls): Exclude<ClientTls, true> {
  if (tls === true) return {};
  if (typeof tls === "object" && tls !== null) return tls;
  throw new ArgumentError(`Expected \`tls\` to be true or an object of TLS options, got ${describe(tls)}`);
}
