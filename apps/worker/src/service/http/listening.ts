import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
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
export async function listen(app: FastifyInstance, target: ListenTarget): Promise<ListenAddress> {
  if ("path" in target) {
    await listenOnSocket(app, target.path);
    return { address: `unix:${target.path}`, isOther: false };
  }
  const { host, port, orAnyFree } = target;
  let isOther = false;
  try {
    await app.listen({ host, port });
  } catch (error) {
    isOther = orAnyFree && (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    if (!isOther) throw cannotListen(error as NodeJS.ErrnoException, host, port);
    await app.listen({ host, port: 0 });
  }
  const shown = host.includes(":") ? `[${host}]` : host;
  return { address: `http://${shown}:${(app.server.address() as AddressInfo).port}`, isOther };
}

async function listenOnSocket(app: FastifyInstance, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new CliFailure(
      "SOCKET_PATH",
      `${path} is longer than the ${MAX_PATH_BYTES} bytes of a socket's path; choose a shorter path with --listen`,
    );
  }
  await removeLeftSocket(path);
  await app.ready();
  // The mask is set before the socket exists, so at no time can another user connect.
  const umask = process.umask(0o177);
  try {
    await app.listen({ path });
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
