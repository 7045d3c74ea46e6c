import { EventEmitter, once } from "node:events";
import type { MessagePort } from "node:worker_threads";
import { expect, test } from "vitest";
import { encodeError } from "../src/boundary/error-transport.ts";
import { PoolThread } from "../src/pool/pool-thread.ts";
import type { PoolCall, ThreadOwner } from "../src/pool/pool-thread.ts";
import type { Supervisor } from "../src/pool/supervisor.ts";
import { FAILURE } from "../src/boundary/wire.ts";

/** Returns a thread of a pool whose other side is the test. */
async function thread(): Promise<{
  readonly pooled: PoolThread;
  readonly far: MessagePort;
  readonly worker: EventEmitter;
  readonly told: string[];
}> {
  const told: string[] = [];
  const owner: ThreadOwner = {
    succeeded: (_thread, _call, value) => told.push(`value ${String(value)}`),
    failed: (_thread, _call, error) => told.push(`failure ${error.nodes[0]?.message}`),
    progressed: () => {},
    exited: () => told.push("exited"),
    unattributed: () => {},
  };
  const worker = Object.assign(new EventEmitter(), { terminate: async () => 1, threadId: 7 });
  let far: MessagePort | undefined;
  const supervisor = {
    start: async ({ port }: { readonly port: MessagePort }) => {
      far = port;
      return worker;
    },
  } as unknown as Supervisor;
  const pooled = new PoolThread(owner);
  await pooled.start(supervisor, false);
  return { pooled, far: far as unknown as MessagePort, worker, told };
}

const call = (): PoolCall =>
  ({
    ref: { id: 1, address: {}, label: "work" },
    args: [],
    metadata: null,
    local: null,
    estimate: 0,
  }) as unknown as PoolCall;

test("the failure that a thread reports while it is terminated is not its call's: the exit ends the call", async () => {
  const { pooled, far, worker, told } = await thread();
  pooled.send([call()]);
  await once(far, "message");
  pooled.stop();
  far.postMessage([FAILURE, 0, encodeError(new TypeError("half of a module was loaded"))]);
  // The message has arrived before the exit is handled.
  worker.emit("exit", 1);
  expect(told).toEqual(["exited"]);
  expect(pooled.calls.takeLost()).toHaveLength(1);
  far.close();
});

test("the failure that a thread reports before that is its call's", async () => {
  const { pooled, far, worker, told } = await thread();
  pooled.send([call()]);
  await once(far, "message");
  far.postMessage([FAILURE, 0, encodeError(new TypeError("no such thing"))]);
  await expect.poll(() => told).toHaveLength(1);
  expect(told[0]).toBe("failure no such thing");
  worker.emit("exit", 1);
  expect(pooled.calls.takeLost()).toEqual([]);
  far.close();
});
