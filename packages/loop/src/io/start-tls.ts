import type { Duplex } from "node:stream";
import type { SecureContextOptions, TlsOptions } from "node:tls";
import { UsageError } from "../errors.ts";
import type { Coroutine } from "../task/coroutine.ts";
import type { Future } from "../task/future.ts";
import { LONGEST_DELAY } from "../timer.ts";
import { routine } from "../waiting/routine.ts";
import type { SignalOption } from "../waiting/signal.ts";
import { builtin } from "./builtin.ts";
import { outsideTask } from "./callback.ts";
import { asObject, secure } from "./connection.ts";
import { eventFuture, ignoreErrors } from "./event-future.ts";
import { handshake } from "./handshake.ts";
import { handshakeTimeoutOf } from "./tls-options.ts";
import type { ClientTls, ServerTls } from "./tls-options.ts";
import type { Transport } from "./transport.ts";

/** Options of `startTls`: which side this is, and Node's TLS options. */
export type StartTlsOptions = SignalOption &
  (
    | { serverSide?: false | undefined; tls?: ClientTls | undefined }
    | { serverSide: true; tls: ServerTls & SecureContextOptions }
  );

/**
 * Goes on over TLS with a connection that was begun in the clear (STARTTLS). `early` is what was read already
 * and belongs to the handshake; plaintext that somebody slipped in before it makes the handshake fail,
 * instead of being taken for something said under TLS. If the handshake fails, the connection is closed.
 */
export function startTls(
  transport: Transport,
  options: StartTlsOptions,
  early?: Buffer,
): Coroutine<Transport> {
  return routine(
    "startTls",
    function* () {
      if (transport.isClosing()) {
        throw new UsageError("TRANSPORT_CLOSED", "cannot start TLS on a connection that is closed");
      }
      const bare = transport._release();
      if (early !== undefined && early.length > 0) bare.unshift(early);
      try {
        transport._replace(
          options.serverSide === true
            ? yield* accept(transport, bare, options.tls)
            : yield* secure(transport._loop, bare, asObject(options.tls ?? true)),
        );
      } catch (error) {
        ignoreErrors(bare);
        bare.destroy();
        if (error instanceof Error) transport._failed(error);
        transport._lost();
        throw error;
      }
      return transport;
    },
    options.signal,
  );
}

/** The server's side: Node documents that sockets can be handed to a TLS server as `connection` events. */
function* accept(transport: Transport, bare: Duplex, tls: TlsOptions): Generator<never, Duplex, unknown> {
  const loop = transport._loop;
  // Node's own time limit stands back for the loop's, which handles every length of time.
  const server = builtin.tls.createServer({ ...tls, handshakeTimeout: LONGEST_DELAY });
  const socket = yield* handshake(loop, bare, handshakeTimeoutOf(tls), () => {
    const secured = eventFuture(loop, server, "secureConnection", ["tlsClientError", "error"]);
    outsideTask(() => server.emit("connection", bare));
    return secured as Future<Duplex>;
  });
  socket.allowHalfOpen = true;
  return socket;
}
