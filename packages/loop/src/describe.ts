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
