import type * as childProcess from "node:child_process";
import type * as dgram from "node:dgram";
import type * as net from "node:net";
import type * as tls from "node:tls";

/**
 * Node's own modules, loaded at their first use. A program without TLS does not pay for `node:tls`, which
 * takes more than 3 ms to load.
 */
export const builtin: {
  readonly net: typeof net;
  readonly tls: typeof tls;
  readonly dgram: typeof dgram;
  readonly childProcess: typeof childProcess;
} = {
  get net() {
    return process.getBuiltinModule("node:net");
  },
  get tls() {
    return process.getBuiltinModule("node:tls");
  },
  get dgram() {
    return process.getBuiltinModule("node:dgram");
  },
  get childProcess() {
    return process.getBuiltinModule("node:child_process");
  },
};
