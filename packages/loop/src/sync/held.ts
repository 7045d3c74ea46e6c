import { openBody } from "../task/open.ts";
import type { Awaitable } from "../task/open.ts";
import { requireStrand } from "../task/current.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../waiting/routine.ts";

/** What `acquire()` gives: disposing it releases, once. */
export interface Held extends Disposable {
  /** Releases what is held; a second time it does nothing. */
  release(): void;
}

/** Something that is acquired and released. */
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

/** Acquires, runs the body, releases whatever happens, and gives the body's value. */
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
