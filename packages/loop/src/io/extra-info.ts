import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { socketAddress } from "./address.ts";
import type { SocketAddress } from "./address.ts";

/** What a transport can tell, by name. */
export interface ExtraInfo {
  /** The other end. */
  peername: SocketAddress;
  /** This end. */
  sockname: SocketAddress;
  /** Node's own object. Reading from it or closing it behind the transport's back is at your own risk. */
  socket: Duplex;
  /** TLS: the other end's certificate. */
  peercert: PeerCertificate;
  /** TLS: the protocol chosen by ALPN. */
  alpnProtocol: string;
}

/** One of them, of a connection over `stream`. */
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
