import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { ServiceError } from "../../errors/service-error.ts";

/** Who may do what: `operate` everything, `read` only look. Without tokens, whoever reaches the address. */
export interface Tokens {
  readonly operate: string | undefined;
  readonly read: string | undefined;
}

/** Bad tokens a minute from one address, beyond which that address is told nothing about further ones. */
const guessesAtMost = 20;
const guessWindow = 60_000;

/** Whether an address is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Lets a request through by its token and, because a browser sends requests on behalf of any page, only when no other
 * site has caused it.
 */
export class Guard {
  readonly #operate: Buffer | undefined;
  readonly #read: Buffer | undefined;
  /** Whether the service has no tokens and answers to the names of this machine alone. */
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

  /** @throws ServiceError when the request may not be answered. */
  check(request: FastifyRequest, reply: FastifyReply): void {
    const name = hostName(request);
    if (this.#onlyLoopback) refuseOtherNames(name);
    refuseOtherSites(request);
    // A probe that asks whether the process lives has no token, and learns nothing else.
    if (this.#isOpen || request.url === "/healthz" || request.url === "/readyz") return;
    const given = tokenOf(request);
    const hash = digest(given);
    // Before the guesses are counted: everybody behind a proxy shares its address, and a right token is no guess.
    if (isSame(hash, this.#operate)) return;
    if (isSame(hash, this.#read)) {
      if (request.method === "GET" || request.method === "HEAD") return;
      throw new ServiceError(403, "READ_ONLY", "this token may only look; use the one that may operate.");
    }
    const address = clientOf(request);
    if (this.#guesses.isTooMany(address)) {
      void reply.header("retry-after", guessWindow / 1_000);
      throw new ServiceError(
        429,
        "TOO_MANY_GUESSES",
        "too many bad tokens from this address; wait a minute, or send the right one.",
      );
    }
    if (given === undefined)
      throw askForToken(reply, "this address needs a token: send Authorization: Bearer TOKEN.");
    this.#guesses.add(address);
    throw askForToken(reply, "this token is not known; check TASKLOOM_TOKEN.");
  }
}

/** The address that a request came from; a Unix socket has none. */
export function clientOf(request: FastifyRequest): string {
  const ip: string | undefined = request.ip;
  return ip ?? "unix";
}

function askForToken(reply: FastifyReply, message: string): ServiceError {
  // Basic, since that is what a browser can ask for: any user name, and the token as the password.
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

/** Of equal length whatever the token, so that comparing takes the same time for each. */
function digest(token: string | undefined): Buffer | undefined {
  return token === undefined ? undefined : createHash("sha256").update(token).digest();
}

function isSame(given: Buffer | undefined, expected: Buffer | undefined): boolean {
  return given !== undefined && expected !== undefined && timingSafeEqual(given, expected);
}

/** @throws ServiceError when the Host header is missing, or is not the name of a host. */
function hostName({ headers, raw }: FastifyRequest): string {
  const { host = raw.httpVersion === "1.0" ? "localhost" : "" } = headers;
  const url = `http://${host}/`;
  if (/[/?#@\\]/.test(host) || !URL.canParse(url))
    throw new ServiceError(400, "HOST", "the Host header names no host; send the name of this address.");
  return new URL(url).hostname.replaceAll(/[[\]]/g, "");
}

/** A name that an attacker's DNS points at this machine is a site of the attacker's to the browser. */
function refuseOtherNames(name: string): void {
  if (!isLoopback(name) && isIP(name) === 0) {
    throw new ServiceError(403, "OTHER_NAME", `this address answers to localhost, and not to ${name}.`);
  }
}

/** Reading is refused too: a page of another site sees no answer, but it could keep the service busy. */
function refuseOtherSites(request: FastifyRequest): void {
  const { origin } = request.headers;
  const site = request.headers["sec-fetch-site"];
  const crossed =
    (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === request.host)) ||
    (site !== undefined && site !== "same-origin" && site !== "none");
  if (crossed && !isFollowedLink(request)) {
    throw new ServiceError(403, "OTHER_SITE", "a page of another site caused this request; that is refused.");
  }
}

/** A link to the live page that somebody follows: the site with the link can neither read nor frame the page. */
function isFollowedLink({ method, url, headers }: FastifyRequest): boolean {
  return (
    method === "GET" &&
    url === "/" &&
    headers["sec-fetch-mode"] === "navigate" &&
    headers["sec-fetch-dest"] === "document"
  );
}

/** Counts bad tokens by address over the last minute. */
class Guesses {
  readonly #byAddress = new Map<string, { count: number; since: number }>();

  isTooMany(address: string): boolean {
    const entry = this.#byAddress.get(address);
    if (entry === undefined) return false;
    if (Date.now() - entry.since > guessWindow) this.#byAddress.delete(address);
    return this.#byAddress.has(address) && entry.count >= guessesAtMost;
  }

  add(address: string): void {
    if (this.#byAddress.size > 10_000) this.#byAddress.clear(); // Bounded, whoever knocks.
    const entry = this.#byAddress.get(address);
    if (entry === undefined) this.#byAddress.set(address, { count: 1, since: Date.now() });
    else entry.count++;
  }
}
