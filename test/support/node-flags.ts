/**
 * Flags for the processes of tests. Where many threads use WebAssembly (PGlite, and Node's type stripper) Node 24 now and
 * then dies as it compiles a call from there to JavaScript anew, which it does when that was made often:
 * `Runtime_TierUpWasmToJSWrapper`, "Check failed: jit_page.has_value()". With this it never was often enough.
 * See https://github.com/nodejs/node/issues/64500.
 */
export const nodeFlags: readonly string[] = process.versions.node.startsWith("24.")
  ? ["--wasm-wrapper-tiering-budget=2147483647"]
  : [];
