import type { Loop } from "../kernel/loop.ts";

/** An open server, connection or process. */
export interface OpenResource {
  /** @internal Closes the resource at once, without waiting. */
  abort(): void;
}

/**
 * The open resources of a loop. `run` closes them at its end, because Node would keep the process alive for
 * them. While a resource is open, an event can arrive from outside, so the time of a virtual clock does not
 * pass.
 */
export class OpenResources {
  readonly #loop: Loop;
  readonly #open = new Set<OpenResource>();
  #emptied: (() => void) | null = null;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  add(resource: OpenResource): void {
    this.#open.add(resource);
    this.#loop._beginOutside();
  }

  delete(resource: OpenResource): void {
    if (!this.#open.delete(resource)) return;
    this.#loop._endOutside();
    if (this.size === 0) this.#emptied?.();
  }

  get size(): number {
    return this.#open.size;
  }

  abortAll(): void {
    for (const resource of this.#open) resource.abort();
  }

  /** Aborts all resources, and resolves when Node has closed them. */
  async closeAll(): Promise<void> {
    if (this.size === 0) return;
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    this.abortAll();
    await emptied;
  }
}

/**
 * The record of open transports that a transport belongs to: its server's clients, or the loop's resources.
 */
export interface Owner {
  add(resource: OpenResource): void;
  delete(resource: OpenResource): void;
}
