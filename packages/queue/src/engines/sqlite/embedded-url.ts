import { resolve } from "node:path";
import { EngineUrlError } from "../../errors.ts";

const SCHEME = "embedded:";

/** The parts of `embedded:FOLDER?sync=normal`. */
export interface EmbeddedUrl {
  readonly folder: string;
  readonly sync: "full" | "normal";
}

/**
 * Reads an embedded engine's URL, with its scheme or without it.
 *
 * @throws {@link EngineUrlError} if the URL names no folder or has a parameter other than `sync`.
 */
export function readEmbeddedUrl(url: string): EmbeddedUrl {
  const [name = "", query = ""] = withoutScheme(url).split("?", 2);
  if (name === "") throw new EngineUrlError("embedded: names no folder; use one such as embedded:.taskloom");
  const parameters = new URLSearchParams(query);
  const sync = parameters.get("sync") ?? "full";
  if ((sync !== "full" && sync !== "normal") || [...parameters.keys()].some((key) => key !== "sync")) {
    throw new EngineUrlError(
      `embedded:${withoutScheme(url)} has an unknown parameter; the parameters are ?sync=normal (a power failure may lose the last commits) and ?sync=full, the default`,
    );
  }
  return { folder: resolve(name), sync };
}

/** Returns the folder of an embedded engine's URL; undefined for the URL of another engine. */
export function embeddedFolder(url: string): string | undefined {
  return url.toLowerCase().startsWith(SCHEME) ? readEmbeddedUrl(url).folder : undefined;
}

function withoutScheme(url: string): string {
  return url.toLowerCase().startsWith(SCHEME) ? url.slice(SCHEME.length) : url;
}
