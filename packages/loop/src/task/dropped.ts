interface Origin {
  readonly name: string;
  readonly stack: string;
}

/**
 * Reports coroutines that were made and never awaited. Registering one costs ten times what making it does,
 * so this happens in debug mode only; the engine tells when an object is gone, in a later macrotask, and
 * not at all for what lives until the process ends.
 */
class DroppedCoroutines {
  enabled = false;
  readonly #registry = new FinalizationRegistry<Origin>((origin) => {
    process.emitWarning(`coroutine '${origin.name}' was never awaited\n${origin.stack}`, {
      type: "RuntimeWarning",
      code: "COROUTINE_NEVER_AWAITED",
    });
  });

  made(coroutine: { readonly name: string }): void {
    if (!this.enabled) return;
    const stack = (new Error("made").stack ?? "").split("\n").slice(4).join("\n");
    this.#registry.register(coroutine, { name: coroutine.name, stack }, coroutine);
  }

  awaited(coroutine: object): void {
    if (this.enabled) this.#registry.unregister(coroutine);
  }
}

export const reportDropped: DroppedCoroutines = new DroppedCoroutines();
