import type { SignalOption } from "../waiting/signal.ts";
import type { ServerTls } from "./tls-options.ts";

/** Where to listen, and how. */
export interface ListenAt extends SignalOption {
  /** A host, or several; without one, all interfaces. */
  host?: string | readonly string[] | undefined;
  /** 0, the default, takes a free port: see `server.sockets()`. */
  port?: number | undefined;
  /** A Unix socket, instead of `host` and `port`. */
  path?: string | undefined;
  /** Speak TLS. */
  tls?: ServerTls | undefined;
  /** How many connections the system may keep waiting to be accepted. */
  backlog?: number | undefined;
  /** Several processes may listen at the port, and the system spreads connections over them (Linux 3.9 or later). */
  reusePort?: boolean | undefined;
  /** Do not listen yet: `server.startServing()` does. */
  startServing?: boolean | undefined;
  /** Send keep-alive probes to silent clients, the first after so many milliseconds. */
  keepAlive?: number | undefined;
  /** Connections beyond so many are closed at once. */
  maxConnections?: number | undefined;
}
