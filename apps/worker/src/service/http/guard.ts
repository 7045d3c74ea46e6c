import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ServiceError } from "../service-error.ts";

/** Who may do what: `operate` everything, `read` only look. Without tokens, whoever reaches the address. */
export interface Tokens {
  readonly operate: string | undefined;
  readonly read: string | undefined;
}

/** Bad tokens a minute from one address, beyond which it gets no answer to any. */
const guessesAtMost = 20;
const guessWindow = 60_000;

/** Whether an address is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Lets through only who may: by token, and, because a browser sends requests on behalf of any page, only requests that
 * no other site has caused.
 */
export function guard(app: FastifyInstance, tokens: Tokens, host: string): void {
  const operate = digest(tokens.operate);
  const read = digest(tokens.read);
  const isOpen = operate === undefined && read === undefined;
  const guesses = new Guesses();
  app.addHook("onRequest", async (request, reply) => {
    refuseOtherSites(request, isOpen && isLoopback(host));
    // What asks whether the process lives has no token, and learns nothing else.
    if (isOpen || request.url === "/healthz" || request.url === "/readyz") return;
    const given = tokenOf(request);
    if (guesses.isTooMany(request.ip)) {
      throw new ServiceError(
        429,
        "TOO_MANY_GUESSES",
        "too many bad tokens from this address; wait a minute.",
      );
    }
    if (given === undefined)
      throw askForToken(reply, "this address needs a token: send Authorization: Bearer TOKEN.");
    const hash = digest(given) as Buffer;
    if (isSame(hash, operate)) return;
    if (isSame(hash, read)) {
      if (request.method === "GET" || request.method === "HEAD") return;
      throw new ServiceError(403, "READ_ONLY", "this token may only look; use the one that may operate.");
    }
    guesses.add(request.ip);
    throw askForToken(reply, "this token is not known; check TASKLOOM_TOKEN.");
  });
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

function isSame(given: Buffer, expected: Buffer | undefined): boolean {
  return expected !== undefined && timingSafeEqual(given, expected);
}

function refuseOtherSites(request: FastifyRequest, onlyLoopback: boolean): void {
  const { origin } = request.headers;
  const site = request.headers["sec-fetch-site"];
  const isUnsafe = request.method !== "GET" && request.method !== "HEAD";
  const crossed =
    (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === request.headers.host)) ||
    (site !== undefined && site !== "same-origin" && site !== "none");
  if (isUnsafe && crossed) {
    throw new ServiceError(403, "OTHER_SITE", "a page of another site caused this request; that is refused.");
  }
  if (!onlyLoopback) return;
  // A name that an attacker's DNS points at this machine is a site of the attacker's to the browser.
  const name = new URL(`http://${request.headers.host ?? "localhost"}`).hostname.replaceAll(/[[\]]/g, "");
  if (!isLoopback(name) && isIP(name) === 0) {
    throw new ServiceError(403, "OTHER_NAME", `this address answers to localhost, and not to ${name}.`);
  }
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
