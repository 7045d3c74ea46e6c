import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { lstat, unlink } from "node:fs/promises";
import type { Server } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo, ListenOptions } from "node:net";
import { CliFailure } from "../../errors/cli-failure.ts";

/** The address of a service: a host and a port, or the path of a Unix socket. */
export type ListenTarget =
  | {
      readonly host: string;
      readonly port: number;
      /** Takes any free port if this one is in use, as for a default port. */
      readonly orAnyFree: boolean;
    }
  | { readonly path: string };

/** The address of a service for clients. */
export interface ListenAddress {
  readonly address: string;
  /** Whether the wanted port was in use, so that the service has another one. */
  readonly isOther: boolean;
}

/** The longest path of a socket, in bytes. */
const MAX_PATH_BYTES = process.platform === "darwin" ? 103 : 107;

/**
 * Listens, and returns the address for clients.
 *
 * @throws {@link CliFailure} if the address cannot be used.
 */
export async function listen(server: Server, target: ListenTarget): Promise<ListenAddress> {
  if ("path" in target) {
    await listenOnSocket(server, target.path);
    return { address: `unix:${target.path}`, isOther: false };
  }
  const { host, port, orAnyFree } = target;
  let isOther = false;
  try {
    await bind(server, { host, port });
  } catch (error) {
    isOther = orAnyFree && (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    if (!isOther) throw cannotListen(error as NodeJS.ErrnoException, host, port);
    await bind(server, { host, port: 0 });
  }
  if (host === "localhost") await listenOnOthers(server);
  const shown = host.includes(":") ? `[${host}]` : host;
  return { address: `http://${shown}:${(server.address() as AddressInfo).port}`, isOther };
}

async function bind(server: Server, options: ListenOptions): Promise<void> {
  server.listen(options);
  await once(server, "listening"); // Rejects with the error of the server.
}

/** Takes connections at the other addresses of localhost, too. One that cannot be used is left out. */
async function listenOnOthers(server: Server): Promise<void> {
  const { address: first, port } = server.address() as AddressInfo;
  for (const { address } of await lookup("localhost", { all: true }).catch(() => [])) {
    if (address === first) continue;
    const other = createServer((socket) => server.emit("connection", socket));
    other.on("error", () => {});
    other.listen({ host: address, port });
    server.once("close", () => other.close());
  }
}

async function listenOnSocket(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new CliFailure(
      "SOCKET_PATH",
      `${path} is longer than the ${MAX_PATH_BYTES} bytes of a socket's path; choose a shorter path with --listen`,
    );
  }
  await removeLeftSocket(path);
  // The mask is set before the socket exists, so at no time can another user connect.
  const umask = process.umask(0o177);
  try {
    await bind(server, { path });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CliFailure("SOCKET", `${path} cannot be listened on (${code ?? message}); correct --listen`, {
      cause: error,
    });
  } finally {
    process.umask(umask);
  }
}

/** Removes the socket that a killed service has left. Any other file, and a socket in use, are refused. */
async function removeLeftSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new CliFailure("SOCKET", `${path} is a file and not a socket; choose another path with --listen`);
  }
  if (await isAnswered(path)) {
    throw new CliFailure(
      "SOCKET_IN_USE",
      `${path} is in use; end that service, or choose another path with --listen`,
    );
  }
  await unlink(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED"));
  });
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case "EADDRINUSE":
      return new CliFailure(
        "PORT_IN_USE",
        `Port ${port} on ${host} is in use; end the program that uses it, or choose another port with --port (0 takes any free port)`,
        { cause: error },
      );
    case "EACCES":
      return new CliFailure(
        "PORT_REFUSED",
        `Port ${port} is not allowed for this user; choose a port from 1024 with --port`,
        { cause: error },
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new CliFailure("HOST", `${host} is not an address of this machine; correct --host`, {
        cause: error,
      });
    default:
      return error;
  }
}
