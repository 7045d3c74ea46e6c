/**
 * Returns the state of this thread that is stored under `name`, and makes it at the first call.
 *
 * The state is a property of `globalThis`, because one thread can have several copies of a module (a bundle's,
 * vitest's, the package's own), and all copies need the same state.
 */
export function sharedState<T extends object>(name: string, make: () => T): T {
  const key = Symbol.for(name);
  const scope = globalThis as { [key]?: T };
  return (scope[key] ??= make());
}
