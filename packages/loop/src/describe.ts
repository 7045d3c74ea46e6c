import { inspect } from "node:util";

/** Makes `util.inspect` show the objects of a class by their `_describe` method. */
export function describesItself(constructor: { prototype: { _describe(): string } }): void {
  Object.defineProperty(constructor.prototype, inspect.custom, {
    value(this: { _describe(): string }) {
      return this._describe();
    },
    configurable: true,
    writable: true,
  });
}

/** An object with a description of its own: a future, a task, a coroutine. */
interface Describable {
  _describe?: () => string;
}

/** Returns the name of a value in messages. */
export function describe(value: unknown): string {
  if (typeof value === "object" && value !== null && "_describe" in value) {
    return (value as Required<Describable>)._describe();
  }
  if (typeof value === "function") {
    return `function ${value.name === "" ? "<anonymous>" : value.name}`;
  }
  return inspect(value, { depth: 0, breakLength: Infinity });
}
