import { request as requestHttp } from "node:http";
import type { IncomingMessage, RequestOptions } from "node:http";
import { request as requestHttps } from "node:https";
import { text } from "node:stream/consumers";

/** One request to a service. */
export interface ServiceRequest {
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** The answer of a service. */
export interface ServiceAnswer {
  readonly status: number;
  readonly isJson: boolean;
  readonly text: string;
}

const UNIX = "unix:";

/** Returns whether a text is the address of a service: an HTTP URL, or `unix:` and the path of a socket. */
export function isServiceAddress(address: string): boolean {
  if (address.startsWith(UNIX)) return address.length > UNIX.length;
  return URL.canParse(address) && /^https?:\/\//i.test(address);
}

/**
 * Sends a request to a service, and returns the answer. `fetch` is no alternative, because it has no Unix sockets.
 *
 * @throws the error of the connection if no service answers.
 */
export async function requestService(address: string, request: ServiceRequest): Promise<ServiceAnswer> {
  const response = await send(address, request);
  const { statusCode: status = 0, headers } = response;
  return { status, isJson: headers["content-type"]?.includes("json") === true, text: await text(response) };
}

function send(address: string, { method, path, headers, body }: ServiceRequest): Promise<IncomingMessage> {
  const options: RequestOptions = { method, headers };
  return new Promise((resolve, reject) => {
    const sent = address.startsWith(UNIX)
      ? requestHttp({ ...options, socketPath: address.slice(UNIX.length), path, host: "localhost" }, resolve)
      : (address.startsWith("https:") ? requestHttps : requestHttp)(
          new URL(`${address}${path}`),
          options,
          resolve,
        );
    sent.once("error", reject);
    sent.end(body);
  });
}
