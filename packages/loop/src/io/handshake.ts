import type { Duplex } from "node:stream";
import { TimeoutError } from "../errors.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import type { Future } from "../task/future.ts";

/**
 * Waits for a TLS handshake over the connected socket `bare`. `begin` makes the secure socket, and returns a
 * future for it. Throws if the handshake fails, if the other end closes the connection meanwhile, and after
 * `timeout` milliseconds.
 *
 * Node does not report an end that arrives during a handshake over a half-open socket, and not at all one that
 * `bare` has received already.
 */
export function* handshake<T>(
  loop: EventLoop,
  bare: Duplex,
  timeout: number,
  begin: () => Future<T>,
): Generator<never, T, unknown> {
  if (bare.readableEnded) throw closedByPeer();
  bare.allowHalfOpen = false; // the secure socket takes this over when it is made
  const secured = begin();
  const fail = (error: Error): void => {
    if (!secured.done()) secured.setException(error);
  };
  const closed = (): void => fail(closedByPeer());
  bare.once("end", closed).once("close", closed);
  const timer = loop.callLater(timeout, () =>
    fail(new TimeoutError(`the TLS handshake took longer than ${timeout} ms`)),
  );
  try {
    return yield* secured;
  } finally {
    timer.cancel();
    bare.off("end", closed).off("close", closed);
  }
}

function closedByPeer(): NodeJS.ErrnoException {
  const error = new Error("the other end closed the connection during the TLS handshake");
  return Object.assign(error, { code: "ECONNRESET" });
}
