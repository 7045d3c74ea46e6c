import type { EventLoop } from "../kernel/event-loop.ts";

/** Something of the outside that is open: a server, a connection, a process. */
export interface OpenResource {
  /** @internal Closes it at once, without waiting for anything. */
  abort(): void;
}

/**
 * What a loop has open. `run` closes it when it ends, because Node would keep the process alive for it.
 * While anything is open, something may come from outside: a virtual clock stands still.
 */
export class OpenResources {
  readonly #loop: EventLoop;
  readonly #open = new Set<OpenResource>();
  #emptied: (() => void) | null = null;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  add(resource: OpenResource): void {
    this.#open.add(resource);
    this.#loop._beginOutside();
  }

  delete(resource: OpenResource): void {
    if (!this.#open.delete(resource)) return;
    this.#loop._endOutside();
    if (this.#open.size === 0) this.#emptied?.();
  }

  get size(): number {
    return this.#open.size;
  }

  abortAll(): void {
    for (const resource of this.#open) resource.abort();
  }

  /** Aborts everything, and resolves when Node has closed it all. */
  async closeAll(): Promise<void> {
    if (this.#open.size === 0) return;
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    this.abortAll();
    await emptied;
  }
}

/** Where a transport is kept while it is open: its server's clients, or the loop's resources. */
export interface Owner {
  add(resource: OpenResource): void;
  delete(resource: OpenResource): void;
}
