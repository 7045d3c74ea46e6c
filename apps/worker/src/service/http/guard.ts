import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { ServiceError } from "../../errors/service-error.ts";
import { isRead, readOnly } from "./access.ts";
import type { Access } from "./access.ts";

/** The tokens: `operate` permits everything, `read` only reading. Without tokens every client is permitted everything. */
export interface Tokens {
  readonly operate: string | undefined;
  readonly read: string | undefined;
}

/** The bad tokens that one address may send in the window. */
const MAX_GUESSES = 20;
const GUESS_WINDOW_MS = 60_000;
const MAX_ADDRESSES = 10_000;

/** Returns whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Checks the token of a request, and refuses requests that a page of another site has caused: a browser sends requests
 * on behalf of any page.
 */
export class Guard {
  readonly #operate: Buffer | undefined;
  readonly #read: Buffer | undefined;
  /** True if the service has no tokens and answers only to the names of this machine. */
  readonly #onlyLoopback: boolean;
  readonly #guesses = new Guesses();

  /** @param host the address to listen on; undefined for a Unix socket. */
  constructor(tokens: Tokens, host: string | undefined) {
    this.#operate = digest(tokens.operate);
    this.#read = digest(tokens.read);
    this.#onlyLoopback = this.#isOpen && host !== undefined && isLoopback(host);
  }

  get #isOpen(): boolean {
    return this.#operate === undefined && this.#read === undefined;
  }

  /**
   * Returns the permission of a request.
   *
   * @throws {@link ServiceError} if the request is refused.
   */
  check(request: FastifyRequest, reply: FastifyReply): Access {
    const name = hostName(request);
    if (this.#onlyLoopback) refuseOtherNames(name);
    refuseOtherSites(request);
    // Probes have no token. Their answers contain nothing but the state.
    if (this.#isOpen || request.url === "/healthz" || request.url === "/readyz") return "operate";
    const given = tokenOf(request);
    const hash = digest(given);
    // Guesses are counted later: clients behind a proxy share its address, and a right token is not a guess.
    if (isSame(hash, this.#operate)) return "operate";
    if (isSame(hash, this.#read)) {
      if (isRead(request)) return "read";
      throw readOnly("This token permits only reading; use the token that permits everything");
    }
    const address = clientOf(request);
    if (this.#guesses.isTooMany(address)) {
      void reply.header("retry-after", GUESS_WINDOW_MS / 1_000);
      throw new ServiceError(
        429,
        "TOO_MANY_GUESSES",
        "Too many bad tokens from this address; wait a minute, or send the right token",
      );
    }
    if (given === undefined)
      throw askForToken(reply, "This address needs a token; send Authorization: Bearer TOKEN");
    this.#guesses.add(address);
    throw askForToken(reply, "This token is unknown; check TASKLOOM_TOKEN");
  }
}

/** Returns the address of the client. All clients of a Unix socket are `unix`. */
export function clientOf(request: FastifyRequest): string {
  const ip: string | undefined = request.ip;
  return ip ?? "unix";
}

function askForToken(reply: FastifyReply, message: string): ServiceError {
  // A browser can ask for Basic only: any user name, and the token as the password.
  void reply.header("www-authenticate", 'Basic realm="taskloom", charset="UTF-8"');
  return new ServiceError(401, "TOKEN", message);
}

function tokenOf(request: FastifyRequest): string | undefined {
  const [scheme, value] = (request.headers.authorization ?? "").split(" ", 2);
  if (value === undefined) return undefined;
  if (scheme?.toLowerCase() === "bearer") return value;
  if (scheme?.toLowerCase() !== "basic") return undefined;
  const pair = Buffer.from(value, "base64").toString("utf8");
  return pair.slice(pair.indexOf(":") + 1);
}

/** Returns a hash of a token. Hashes have equal lengths, so each comparison takes the same time. */
function digest(token: string | undefined): Buffer | undefined {
  return token === undefined ? undefined : createHash("sha256").update(token).digest();
}

function isSame(given: Buffer | undefined, expected: Buffer | undefined): boolean {
  return given !== undefined && expected !== undefined && timingSafeEqual(given, expected);
}

/** @throws {@link ServiceError} if the Host header is missing, or is not the name of a host. */
function hostName({ headers, raw }: FastifyRequest): string {
  const { host = raw.httpVersion === "1.0" ? "localhost" : "" } = headers;
  const url = `http://${host}/`;
  if (/[/?#@\\]/.test(host) || !URL.canParse(url))
    throw new ServiceError(400, "HOST", "The Host header names no host; send the name of this address");
  return new URL(url).hostname.replaceAll(/[[\]]/g, "");
}

/** Refuses a name that the DNS of an attacker points at this machine: for a browser, that is a site of the attacker. */
function refuseOtherNames(name: string): void {
  if (!isLoopback(name) && isIP(name) === 0) {
    throw new ServiceError(
      403,
      "OTHER_NAME",
      `This address answers to localhost, and not to ${name}; use localhost`,
    );
  }
}

/**
 * Refuses requests of other sites, reads included: a page sees no answer, but could keep the service busy.
 *
 * @param hostIsOwn whether the Host header is the one that the browser sent. A proxy in front of a user's app can replace
 *   it, so the origin then counts only for a browser that does not say where a request comes from.
 */
export function refuseOtherSites(request: FastifyRequest, hostIsOwn: boolean = true): void {
  const { origin } = request.headers;
  const site = request.headers["sec-fetch-site"];
  const crossed =
    ((hostIsOwn || site === undefined) &&
      origin !== undefined &&
      !(URL.canParse(origin) && new URL(origin).host === request.host)) ||
    (site !== undefined && site !== "same-origin" && site !== "none");
  if (crossed && !isFollowedLink(request)) {
    throw new ServiceError(
      403,
      "OTHER_SITE",
      "A page of another site caused this request; open the live page of this service instead",
    );
  }
}

/** Returns whether a request follows a link to the live page. The site with the link can neither read nor frame it. */
function isFollowedLink({ method, url, headers }: FastifyRequest): boolean {
  return (
    method === "GET" &&
    url === "/" &&
    headers["sec-fetch-mode"] === "navigate" &&
    headers["sec-fetch-dest"] === "document"
  );
}

/** The counts of bad tokens of the last minute, by address. */
class Guesses {
  readonly #byAddress = new Map<string, { count: number; since: number }>();

  isTooMany(address: string): boolean {
    const entry = this.#byAddress.get(address);
    if (entry === undefined) return false;
    if (Date.now() - entry.since > GUESS_WINDOW_MS) this.#byAddress.delete(address);
    return this.#byAddress.has(address) && entry.count >= MAX_GUESSES;
  }

  add(address: string): void {
    if (this.#byAddress.size > MAX_ADDRESSES) this.#byAddress.clear(); // An attacker cannot fill the memory.
    const entry = this.#byAddress.get(address);
    if (entry === undefined) this.#byAddress.set(address, { count: 1, since: Date.now() });
    else entry.count++;
  }
}
