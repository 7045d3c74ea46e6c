/** One end of a connection. */
export interface SocketAddress {
  /** For `"unix"`, `address` is a path. */
  readonly family: "IPv4" | "IPv6" | "unix";
  /** The IP address, or the path of a Unix socket (empty for the unnamed end). */
  readonly address: string;
  /** The port; 0 for a Unix socket. */
  readonly port: number;
}

/** Converts Node's fields of one end to an address. Returns undefined if the end is not connected. */
export function socketAddress(
  address: string | undefined,
  port: number | undefined,
  family: string | undefined,
): SocketAddress | undefined {
  if (address === undefined) return undefined;
  return { address, port: port ?? 0, family: family === "IPv6" ? "IPv6" : "IPv4" };
}
