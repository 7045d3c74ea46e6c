import type { ConnectionOptions, TlsOptions } from "node:tls";

/** How long a TLS handshake may take by default, in milliseconds: asyncio's. */
export const HANDSHAKE_TIMEOUT = 60_000;

/** Options of a TLS client: `true` for the defaults, or Node's `tls.connect` options (`ca`, `servername` …). */
export type ClientTls = true | (ConnectionOptions & { handshakeTimeout?: number });

/** Options of a TLS server: Node's (`key`, `cert`, `ca`, `requestCert`, `SNICallback` …). */
export type ServerTls = TlsOptions;
