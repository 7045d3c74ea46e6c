import { openBody } from "../task/open.ts";
import type { Awaitable } from "../task/open.ts";
import { requireStrand } from "../task/current.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../task/routine.ts";

/** The result of `acquire()`. Disposing it releases the lock or permit, once. */
export interface Held extends Disposable {
  /** Releases the lock or permit. A second call does nothing. */
  release(): void;
}

/** An object that is acquired and released. */
interface Acquirable {
  acquire(): Iterable<never, Held> | Coroutine<Held>;
}

export function held(release: () => void): Held {
  let isHeld = true;
  const once = (): void => {
    if (!isHeld) return;
    isHeld = false;
    release();
  };
  return { release: once, [Symbol.dispose]: once };
}

/** Acquires `owner`, runs the body, releases `owner` in every case, and returns the body's value. */
export function holding<T>(
  name: string,
  owner: Acquirable & { release(): void },
  body: () => Awaitable<T>,
): Coroutine<T> {
  return routine(name, function* () {
    yield* owner.acquire();
    try {
      return (yield* openBody(requireStrand(name), body, [])) as T;
    } finally {
      owner.release();
    }
  });
}
