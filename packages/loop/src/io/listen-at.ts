import type { SignalOption } from "../task/signal.ts";
import type { ServerTls } from "./tls-options.ts";

/** The options of a server. */
export interface ListenAt extends SignalOption {
  /** A host or a list of hosts; all interfaces by default. */
  host?: string | readonly string[] | undefined;
  /** The port. 0, the default, takes a free port, which `server.sockets()` reports. */
  port?: number | undefined;
  /** The path of a Unix socket, instead of `host` and `port`. */
  path?: string | undefined;
  /** The TLS options; without them, connections are not encrypted. */
  tls?: ServerTls | undefined;
  /** The number of connections that the system may keep waiting to be accepted. */
  backlog?: number | undefined;
  /**
   * Lets several processes listen at the port; the system distributes connections among them (Linux 3.9 or
   * later).
   */
  reusePort?: boolean | undefined;
  /** Whether to listen at once, true by default; with false, `server.startServing()` starts to listen. */
  startServing?: boolean | undefined;
  /** Milliseconds of silence of a client before the first keep-alive probe. */
  keepAlive?: number | undefined;
  /** The maximal number of connections. Further connections are closed at once. */
  maxConnections?: number | undefined;
}
