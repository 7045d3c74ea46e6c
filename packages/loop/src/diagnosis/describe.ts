import { inspect } from "node:util";

/** Has `util.inspect` show objects of a class as `_describe` says. */
export function describesItself(constructor: { prototype: { _describe(): string } }): void {
  Object.defineProperty(constructor.prototype, inspect.custom, {
    value(this: { _describe(): string }) {
      return this._describe();
    },
    configurable: true,
    writable: true,
  });
}

/** What can tell about itself: futures, tasks, coroutines. */
interface Describable {
  _describe?: () => string;
}

/** A value as it is named in messages. */
export function describe(value: unknown): string {
  if (typeof value === "object" && value !== null && "_describe" in value) {
    return (value as Required<Describable>)._describe();
  }
  if (typeof value === "function") {
    return `function ${value.name === "" ? "<anonymous>" : value.name}`;
  }
  return inspect(value, { depth: 0, breakLength: Infinity });
}

const STATES = ["pending", "finished", "finished", "finished", "cancelled"];

interface Settled {
  readonly _state: number;
  readonly _value: unknown;
}

/** ` result=5` or ` exception=Error('…')`, as far as there is one. */
export function describeOutcome(future: Settled): string {
  if (future._state === 1) return ` result=${short(future._value)}`;
  if (future._state === 2 || future._state === 3) return ` exception=${shortError(future._value)}`;
  return "";
}

/** `pending`, `finished` or `cancelled`. */
export function describeState(future: Settled): string {
  return STATES[future._state] ?? "unknown";
}

/** A primitive or an operation that futures of waiters belong to. */
interface Awaited {
  /** @internal The wait as text, such as `Lock.acquire() held by 'Task-2'`. */
  _describeWait(): string;
}

/** `<Future pending>`; for the waiter of a primitive `<Lock.acquire() held by 'Task-2', 1 waiting>`. */
export function describeFuture(future: Settled & { constructor: { name: string } }): string {
  const { _state: state, _value: value } = future;
  // A pending future has no value yet. The primitives of `sync` put themselves there, which costs no field.
  if (state === 0 && typeof value === "object" && value !== null && "_describeWait" in value)
    return `<${(value as Awaited)._describeWait()}>`;
  return `<${future.constructor.name} ${describeState(future)}${describeOutcome(future)}>`;
}

function short(value: unknown): string {
  const text = inspect(value, { depth: 0, breakLength: Infinity });
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

function shortError(error: unknown): string {
  if (error instanceof Error) return `${error.name}(${JSON.stringify(error.message)})`;
  return short(error);
}
