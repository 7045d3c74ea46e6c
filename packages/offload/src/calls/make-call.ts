/** The calls of a pool: from a function and its arguments to a Task, a map or a stream. */
import { cancelOnAbort, currentDeadline, getRunningLoop } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { AnyFunction, Callable } from "../boundary/callable.ts";
import { captureCarried } from "../boundary/carried-stores.ts";
import { capturePropagated } from "../boundary/context.ts";
import { checkRecursion } from "../boundary/recursion.ts";
import { sharedClockOffset } from "../boundary/slots.ts";
import { encodeValue, isSimple } from "../boundary/value-transport.ts";
import type { CallMetadata } from "../boundary/wire.ts";
import { checkOptionNames, expectNumber } from "../check-options.ts";
import type { FunctionRef } from "../pool/function-ref.ts";
import type { Pool } from "../pool/pool.ts";
import type { PoolCall } from "../pool/pool-thread.ts";
import { ThreadTask } from "../pool/thread-task.ts";
import type { CallerParts, StreamSink } from "../pool/thread-task.ts";
import type { CallOptions, StreamCallOptions } from "./call-options.ts";
import { captureStack } from "./caller.ts";
import { refOf } from "./naming.ts";
import type { MapOptions, Resolved, Submitter } from "./signatures.ts";
import { ThreadMap } from "./thread-map.ts";
import { ThreadStream } from "./thread-stream.ts";

const DEFAULT_WINDOW = 256;

/** A call that is to be made. */
interface CallRequest {
  readonly ref: FunctionRef;
  readonly args: unknown[];
  readonly options: CallOptions | undefined;
  /** The public function that the user called; stacks and the caller's module begin above it. */
  readonly below: AnyFunction;
  /** True if the function is called once for each element of its only argument. */
  readonly isEach?: boolean;
  /** The consumer of the items, if the function is a producer. */
  readonly stream?: StreamSink;
}

/** Makes a call of a function. */
export function submit(
  pool: Pool,
  fn: AnyFunction,
  args: unknown[],
  options: CallOptions | undefined,
  below: AnyFunction,
): Task<unknown> {
  return makeCall(pool, { ref: refOf(fn, below), args, options, below });
}

/** Makes calls of a function for each item. */
export function map<T, R>(
  pool: Pool,
  fn: (item: T) => R,
  items: Iterable<T> | AsyncIterable<T>,
  mapOptions: MapOptions,
  options: CallOptions | undefined,
  below: AnyFunction,
): ThreadMap<Resolved<R>> {
  checkOptionNames(mapOptions, { chunkSize: true }, "map");
  const { chunkSize } = mapOptions;
  expectNumber("chunkSize", chunkSize, { least: 1, isWhole: true });
  const ref = refOf(fn, below);
  return new ThreadMap<Resolved<R>>(items, {
    start: (chunk) => makeCall(pool, { ref, args: [chunk], options, below, isEach: true }),
    chunkSize,
    meanDuration: () => ref.meanDuration,
    width: pool.width,
  });
}

/** Makes a call of a producer. */
export function stream<T>(
  pool: Pool,
  fn: AnyFunction,
  args: unknown[],
  options: StreamCallOptions | undefined,
  below: AnyFunction,
): ThreadStream<T> {
  const ref = refOf(fn, below);
  const window = options?.window ?? DEFAULT_WINDOW;
  return new ThreadStream<T>(window, (sink) => {
    const call = makeCall(pool, { ref, args, options, below, stream: sink });
    return {
      task: call,
      grant: (count) => call.thread?.grant(call, count),
      stop: () => pool.stopStream(call),
    };
  });
}

/** Returns a submitter with options. `pool` returns the pool of each call when the call is made. */
export function submitter(pool: () => Pool, options: StreamCallOptions): Submitter {
  return {
    submit(fn: AnyFunction, ...args: unknown[]): Task<never> {
      return submit(pool(), fn, args, options, this.submit) as Task<never>;
    },
    map(fn, items, mapOptions = {}) {
      return map(pool(), fn, items, mapOptions, options, this.map);
    },
    stream(fn: AnyFunction, ...args: unknown[]): ThreadStream<never> {
      return stream<never>(pool(), fn, args, options, this.stream);
    },
  };
}

function makeCall(pool: Pool, request: CallRequest): PoolCall {
  const { ref, options } = request;
  checkRecursion(ref.address, ref.label);
  pool.admit();
  let { args } = request;
  let metadata = metadataOf(request);
  let local: CallerParts | null = null;
  const localParts = (): CallerParts =>
    (local ??= { transfer: null, callbacks: null, stream: null, carried: undefined });
  if (request.stream !== undefined) localParts().stream = request.stream;
  if (!args.every(isSimple)) {
    const callbacks: Callable[] = [];
    const encoded = encodeValue(args, "arguments", (fn) => callbacks.push(fn) - 1);
    args = encoded.value;
    if (encoded.patches !== null) (metadata ??= {}).patches = encoded.patches;
    if (encoded.transfer !== null) localParts().transfer = encoded.transfer;
    if (callbacks.length > 0) localParts().callbacks = callbacks;
  }
  const carried = captureCarried();
  if (carried !== undefined) {
    (metadata ??= {}).carried = carried.data;
    localParts().carried = carried;
  }
  const call: PoolCall = new ThreadTask(pool, ref, args, options?.priority ?? 0, metadata, local);
  if (ref.stacks > 0) {
    ref.stacks--;
    call.callerStack = captureStack(request.below);
  }
  if (options !== undefined) applyOptions(pool, call, options);
  if (!call.isEnded) pool.add(call);
  return call;
}

/** Returns the metadata that is known before the arguments are encoded, or null for a plain call. */
function metadataOf({ isEach, stream: sink, options }: CallRequest): CallMetadata | null {
  let metadata: CallMetadata | null = null;
  if (isEach === true) (metadata ??= {}).isEach = true;
  if (sink !== undefined) (metadata ??= {}).isStream = true;
  if (options?.name !== undefined) (metadata ??= {}).name = options.name;
  const propagated = capturePropagated();
  if (propagated !== undefined) (metadata ??= {}).propagated = propagated;
  const deadline = currentDeadline();
  if (deadline !== undefined) (metadata ??= {}).deadline = toSharedClock(deadline);
  return metadata;
}

function toSharedClock(deadline: number): number {
  return deadline - getRunningLoop().time() + performance.now() + sharedClockOffset;
}

function applyOptions(pool: Pool, call: PoolCall, options: CallOptions): void {
  call.timeout = options.timeout;
  if (options.signal !== undefined) cancelOnAbort(call, options.signal);
  if (options.queueTimeout !== undefined && !call.isEnded) pool.limitQueueing(call, options.queueTimeout);
}
