import { codeOf } from "../../error-code.ts";
import { messageOf } from "../../message-of.ts";
import { isClusterUrl } from "./redis-client.ts";
import { isNotPrimary } from "./writable-redis.ts";

/** The reason why a connection failed, and the next step. Both are parts of a sentence. */
export interface ConnectionFailure {
  readonly reason: string;
  readonly next: string;
}

/** Explains the last error that a client reported before its first connection failed for good. */
export function connectionFailure(error: unknown, url: string): ConnectionFailure {
  const message = messageOf(error);
  const code = String(codeOf(error) ?? "");
  const isSecure = /^rediss/i.test(url);
  if (/^WRONGPASS|invalid password/.test(message))
    return { reason: "it refuses the user name or the password", next: "correct them in the address" };
  if (message.startsWith("NOAUTH"))
    return {
      reason: "it asks for a password, and the address names none",
      next: "use redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST",
    };
  if (message.startsWith("NOPERM"))
    return {
      reason: `the user of the address has too few rights: ${message}`,
      next: "grant it all keys, channels and commands that BullMQ uses",
    };
  if (message.includes("DB index is out of range"))
    return {
      reason: "it has no database of that number",
      next: "correct the number at the end of the address, or raise `databases` in its configuration",
    };
  if (isNotPrimary(error))
    return {
      reason: message.replace(/^READONLY /, ""),
      next: "use the address of the primary, or wait until this server is one",
    };
  if (/Unknown RESP type|Protocol error/.test(message))
    return { reason: "the server there is not Redis", next: "correct the host or the port" };
  if (/^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)/.test(code))
    return {
      reason: "it does not speak TLS",
      next: "use redis:// in place of rediss://, or its port for TLS",
    };
  if (/CERT|ISSUER|SELF_SIGNED|LEAF_SIGNATURE/.test(code))
    return {
      reason: `its certificate is not trusted: ${message}`,
      next: "name the certificate of its authority in NODE_EXTRA_CA_CERTS",
    };
  if (message === "Connection is closed." && isClusterUrl(url))
    // ioredis does not report the errors of its nodes.
    return { reason: "none of its nodes could be connected to", next: "start it or correct the address" };
  const other = isSecure ? "a port without TLS" : "a port with TLS, which rediss:// uses,";
  if (/^Connection is closed|^Client network socket disconnected/.test(message) || code === "ECONNRESET")
    return {
      reason: `it closed the connection before it answered, as ${other} or another kind of server does`,
      next: "correct the address",
    };
  if (message.startsWith("no answer"))
    return {
      reason: `${message}, as from ${other} or another kind of server`,
      next: "start it or correct the address",
    };
  return { reason: message || code || "no connection", next: "start it or correct the address" };
}
