import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { socketAddress } from "./address.ts";
import type { SocketAddress } from "./address.ts";

/** The facts about a connection that `getExtraInfo` returns, by name. */
export interface ExtraInfo {
  /** The address of the other end. */
  peername: SocketAddress;
  /** The address of this end. */
  sockname: SocketAddress;
  /** Node's own object. Programs that read from it or close it do so at their own risk. */
  socket: Duplex;
  /** The other end's certificate (TLS). */
  peercert: PeerCertificate;
  /** The protocol that ALPN has chosen (TLS). */
  alpnProtocol: string;
}

/** Returns one fact about the connection over `stream`. */
export function extraInfo(stream: Duplex, name: keyof ExtraInfo): unknown {
  const socket = stream as Socket & Partial<TLSSocket>;
  switch (name) {
    case "socket":
      return socket;
    case "peername":
      return socketAddress(socket.remoteAddress, socket.remotePort, socket.remoteFamily);
    case "sockname":
      return socketAddress(socket.localAddress, socket.localPort, socket.localFamily);
    case "peercert":
      return socket.getPeerCertificate?.();
    case "alpnProtocol":
      return typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined;
  }
}
