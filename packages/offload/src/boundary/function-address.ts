import type { AnyFunction } from "./callable.ts";

/**
 * The symbol under which a function carries its {@link Address}. `threaded` and `defineTask` set it.
 */
export const functionAddress: unique symbol = Symbol.for("taskloom.function");

/** The place where another thread or another process finds a function. */
export interface Address {
  /** The module's URL, or a specifier. */
  readonly module: string;
  /** The name of the export, or the name in the address that the exported function carries. */
  readonly name: string;
  /** The URL of the module from which a bare or relative specifier is resolved. */
  readonly parent?: string | null;
}

/** The place where a thread finds a function: an export of a module, or the source text of the function. */
export type FunctionAddress = ExportAddress | SourceAddress;

/** The address of a function that a module exports. */
export interface ExportAddress extends Required<Address> {
  readonly kind: "export";
}

/** A function that travels as its source text. */
export interface SourceAddress {
  readonly kind: "source";
  readonly text: string;
  /** True for the form of a method, which needs an object around it. */
  readonly isMethod: boolean;
  /** True if the text may contain an import. `parent` then decides what the import finds. */
  readonly hasImports: boolean;
  readonly parent: string | null;
}

/** Returns the address that a function carries, or undefined if it carries none. */
export function addressOf(fn: AnyFunction): Address | undefined {
  return (fn as { readonly [functionAddress]?: Address })[functionAddress];
}
