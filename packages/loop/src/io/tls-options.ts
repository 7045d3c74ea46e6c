import type { ConnectionOptions, TlsOptions } from "node:tls";
import { describe } from "../describe.ts";
import { ArgumentError } from "../errors.ts";

/** asyncio's default time limit for a TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 60_000;

/**
 * The options of a TLS client: `true` for the defaults, or Node's `tls.connect` options (`ca`, `servername`
 * …).
 */
export type ClientTls = true | (ConnectionOptions & { handshakeTimeout?: number });

/** The options of a TLS server: Node's (`key`, `cert`, `ca`, `requestCert`, `SNICallback` …). */
export type ServerTls = TlsOptions;

/**
 * Returns `handshakeTimeout` in milliseconds.
 *
 * @throws {@link ArgumentError} if it is not a number above 0.
 */
export function handshakeTimeoutOf({ handshakeTimeout }: { handshakeTimeout?: number | undefined }): number {
  if (handshakeTimeout === undefined) return HANDSHAKE_TIMEOUT_MS;
  if (typeof handshakeTimeout !== "number" || !(handshakeTimeout > 0)) {
    throw new ArgumentError(
      `Expected \`handshakeTimeout\` to be a number of milliseconds above 0, got ${describe(handshakeTimeout)}`,
    );
  }
  return handshakeTimeout;
}
