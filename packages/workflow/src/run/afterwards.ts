/** Continues with `next` at once, or after a promise: a tick of generators is synchronous. */
export function afterwards<A, B>(value: A | Promise<A>, next: (value: A) => B | Promise<B>): B | Promise<B> {
  // oxlint-disable-next-line promise/no-callback-in-promise -- the caller gets the promise of the callback
  return value instanceof Promise ? value.then(next) : next(value);
}
