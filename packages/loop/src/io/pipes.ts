import type { Duplex, Readable, Writable } from "node:stream";
import type { Loop } from "../kernel/loop.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../task/routine.ts";
import { outsideTask } from "./callback.ts";
import type { OpenResources } from "./open-resources.ts";
import type { Protocol } from "./protocol.ts";
import { Transport } from "./transport.ts";

/** Creates a transport over any Node stream: `process.stdin`, a file that is read, a compressor. */
export function connectPipe<P extends Protocol>(
  loop: Loop,
  resources: OpenResources,
  protocolFactory: () => P,
  stream: Readable | Writable | Duplex,
): Coroutine<[transport: Transport, protocol: P]> {
  // oxlint-disable-next-line require-yield -- a coroutine, as all that connect: the caller awaits it
  return routine("connectPipe", function* () {
    const protocol = protocolFactory();
    const transport = new Transport(loop, stream as Duplex, protocol, resources, true);
    outsideTask(() => transport._begin());
    return [transport, protocol] as [Transport, P];
  });
}
