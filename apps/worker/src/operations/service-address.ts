import { request as requestHttp } from "node:http";
import type { IncomingMessage, RequestOptions } from "node:http";
import { request as requestHttps } from "node:https";
import { text } from "node:stream/consumers";

/** One request to a service. */
export interface ServiceRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** A service's answer. */
export interface ServiceAnswer {
  readonly status: number;
  readonly isJson: boolean;
  readonly text: string;
}

const unix = "unix:";

/** Whether a text is the address of a service: an HTTP URL, or `unix:` and the path of a socket. */
export function isServiceAddress(address: string): boolean {
  if (address.startsWith(unix)) return address.length > unix.length;
  return URL.canParse(address) && /^https?:\/\//i.test(address);
}

/**
 * Sends a request to a service; `fetch` has no Unix sockets.
 *
 * @throws the error of the connection when nobody answers.
 */
export async function askService(address: string, asked: ServiceRequest): Promise<ServiceAnswer> {
  const response = await send(address, asked);
  const { statusCode: status = 0, headers } = response;
  return { status, isJson: headers["content-type"]?.includes("json") === true, text: await text(response) };
}

function send(address: string, { method, path, headers, body }: ServiceRequest): Promise<IncomingMessage> {
  const options: RequestOptions = { method, headers };
  return new Promise((resolve, reject) => {
    const sent = address.startsWith(unix)
      ? requestHttp({ ...options, socketPath: address.slice(unix.length), path, host: "localhost" }, resolve)
      : (address.startsWith("https:") ? requestHttps : requestHttp)(
          new URL(`${address}${path}`),
          options,
          resolve,
        );
    sent.once("error", reject);
    sent.end(body);
  });
}
