import type { Duplex } from "node:stream";
import type { SecureContextOptions, TlsOptions } from "node:tls";
import { UsageError } from "../errors.ts";
import type { Coroutine } from "../task/coroutine.ts";
import type { Future } from "../task/future.ts";
import { LONGEST_DELAY } from "../timer.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { builtin } from "./builtin.ts";
import { outsideTask } from "./callback.ts";
import { asObject, secure } from "./connection.ts";
import { eventFuture, ignoreErrors } from "./event-future.ts";
import { handshake } from "./handshake.ts";
import { handshakeTimeoutOf } from "./tls-options.ts";
import type { ClientTls, ServerTls } from "./tls-options.ts";
import type { Transport } from "./transport.ts";

/** The options of `startTls`: the side of this end, and Node's TLS options. */
export type StartTlsOptions = SignalOption &
  (
    | { serverSide?: false | undefined; tls?: ClientTls | undefined }
    | { serverSide: true; tls: ServerTls & SecureContextOptions }
  );

/**
 * Upgrades a plain connection to TLS (STARTTLS). `early` is data that was read before and belongs to the
 * handshake. If an attacker has inserted plaintext before the handshake, the handshake fails; otherwise that
 * plaintext would count as sent under TLS. If the handshake fails, the connection is closed.
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
        throw new UsageError(
          "TRANSPORT_CLOSED",
          "Cannot start TLS on a closed connection: call startTls() before close()",
        );
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

/** Performs the server's side. Node documents that a TLS server accepts sockets as `connection` events. */
function* accept(transport: Transport, bare: Duplex, tls: TlsOptions): Generator<never, Duplex, unknown> {
  const loop = transport._loop;
  // The loop's time limit replaces Node's, because the loop handles durations of any length.
  const server = builtin.tls.createServer({ ...tls, handshakeTimeout: LONGEST_DELAY });
  const socket = yield* handshake(loop, bare, handshakeTimeoutOf(tls), () => {
    const secured = eventFuture(loop, server, "secureConnection", ["tlsClientError", "error"]);
    outsideTask(() => server.emit("connection", bare));
    return secured as Future<Duplex>;
  });
  socket.allowHalfOpen = true;
  return socket;
}
