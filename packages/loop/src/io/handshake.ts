import type { Duplex } from "node:stream";
import { TimeoutError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";
import type { Future } from "../task/future.ts";

/**
 * Waits for a TLS handshake over the connected socket `bare`. `begin` creates the secure socket and returns a
 * future for it.
 *
 * Node does not report an EOF that arrives during a handshake over a half-open socket, and never reports an
 * EOF that `bare` has received before.
 *
 * @throws an Error if the handshake fails or if the other end closes the connection meanwhile.
 * @throws {@link TimeoutError} after `timeout` milliseconds.
 */
export function* handshake<T>(
  loop: Loop,
  bare: Duplex,
  timeout: number,
  begin: () => Future<T>,
): Generator<never, T, unknown> {
  if (bare.readableEnded) throw closedByPeer();
  bare.allowHalfOpen = false; // the secure socket copies this setting when it is created
  const secured = begin();
  const fail = (error: Error): void => {
    if (!secured.done()) secured.setException(error);
  };
  const closed = (): void => fail(closedByPeer());
  bare.once("end", closed).once("close", closed);
  const timer = loop.callLater(timeout, () =>
    fail(new TimeoutError(`The TLS handshake took longer than ${timeout} ms`)),
  );
  try {
    return yield* secured;
  } finally {
    timer.cancel();
    bare.off("end", closed).off("close", closed);
  }
}

function closedByPeer(): NodeJS.ErrnoException {
  const error = new Error("The other end closed the connection during the TLS handshake");
  return Object.assign(error, { code: "ECONNRESET" });
}
