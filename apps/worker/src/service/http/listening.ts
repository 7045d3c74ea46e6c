import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { CliFailure } from "../../errors/cli-failure.ts";

/** Where a service answers: a host and port, or the path of a Unix socket. */
export type ListenTarget =
  | {
      readonly host: string;
      readonly port: number;
      /** Takes any free port where this one is in use, as when nobody named a port. */
      readonly orAnyFree: boolean;
    }
  | { readonly path: string };

/** Sockets of Linux have paths of at most so many bytes; those of macOS of 103. */
const pathAtMost = process.platform === "darwin" ? 103 : 107;

/** Listens, and returns the address as clients name it. */
export async function listen(
  app: FastifyInstance,
  target: ListenTarget,
): Promise<{ readonly address: string; readonly isOther: boolean }> {
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
  if (Buffer.byteLength(path) > pathAtMost) {
    throw new CliFailure(
      "SOCKET_PATH",
      `${path} is longer than the ${pathAtMost} bytes that a socket's path may have; choose a shorter one with --listen.`,
    );
  }
  await removeLeftSocket(path);
  await app.ready();
  // Set before the socket exists: there is no moment at which another user could connect.
  const umask = process.umask(0o177);
  try {
    await app.listen({ path });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CliFailure("SOCKET", `${path} cannot be listened on (${code ?? message}); correct --listen.`, {
      cause: error,
    });
  } finally {
    process.umask(umask);
  }
}

/** Removes the socket of a service that was killed; refuses any other file, and a socket that somebody answers on. */
async function removeLeftSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new CliFailure("SOCKET", `${path} is a file and no socket; choose another path with --listen.`);
  }
  if (await isAnswered(path)) {
    throw new CliFailure(
      "SOCKET_IN_USE",
      `${path} is in use; end that service, or choose another path with --listen.`,
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
        `port ${port} on ${host} is in use; end what uses it, or choose another with --port (0 takes any free one).`,
        { cause: error },
      );
    case "EACCES":
      return new CliFailure(
        "PORT_REFUSED",
        `port ${port} is not allowed to this user; choose one from 1024 with --port.`,
        { cause: error },
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new CliFailure("HOST", `${host} is no address of this machine; correct --host.`, {
        cause: error,
      });
    default:
      return error;
  }
}
