interface Origin {
  readonly name: string;
  readonly stack: string;
}

/**
 * Reports coroutines that were made and never awaited. Registering a coroutine costs ten times as much as making it,
 * so this happens in debug mode only. V8 notifies the registry in a macrotask after the object is collected, and not
 * at all for objects that live until the process ends.
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
