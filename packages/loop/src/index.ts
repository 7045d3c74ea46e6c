export { EventLoop, newEventLoop } from "./event-loop/event-loop.ts";
export { Handle, TimerHandle } from "./kernel/handle.ts";
export { getEventLoop, getRunningLoop, setEventLoop } from "./task/running.ts";
export { Future, isFuture } from "./task/future.ts";
export { Task } from "./task/task.ts";
export { ExternalTask } from "./task/external-task.ts";
export {
  Coroutine,
  coroutine,
  isAsyncGeneratorFunction,
  isCoroutine,
  isCoroutineFunction,
} from "./task/coroutine.ts";
export { asyncGenerator } from "./task/async-generator.ts";
export { isAwaitable } from "./task/open.ts";
export { Operation } from "./task/operation.ts";
export {
  allTasks,
  createTask,
  currentDeadline,
  currentTask,
  ensureFuture,
  reportProgress,
} from "./task/current.ts";
export { sleep } from "./waiting/sleep.ts";
export { gather } from "./waiting/gather.ts";
export { wait } from "./waiting/wait.ts";
export { waitFor } from "./waiting/wait-for.ts";
export { AsCompleted, asCompleted } from "./waiting/as-completed.ts";
export { shield } from "./waiting/shield.ts";
export { timeout, timeoutAt, TimeoutScope } from "./waiting/timeout.ts";
export { TaskGroup, taskGroup } from "./waiting/task-group.ts";
export { cancelOnAbort, fromSignal } from "./task/signal.ts";
export { Lock } from "./sync/lock.ts";
export { Event } from "./sync/event.ts";
export { Condition } from "./sync/condition.ts";
export { BoundedSemaphore, Semaphore } from "./sync/semaphore.ts";
export { Barrier } from "./sync/barrier.ts";
export { LifoQueue, PriorityQueue, Queue } from "./sync/queue.ts";
export { captureCallGraph, formatCallGraph } from "./diagnosis/call-graph.ts";
export { captureWaits } from "./diagnosis/waits.ts";
export { DatagramProtocol, Protocol, SubprocessProtocol } from "./io/protocol.ts";
export { Transport } from "./io/transport.ts";
export { DatagramTransport } from "./io/datagram-transport.ts";
export { SubprocessTransport } from "./io/subprocess-transport.ts";
export { Server } from "./io/server.ts";
export { openConnection, startServer } from "./io/open-streams.ts";
export { StreamReader } from "./io/stream-reader.ts";
export { StreamReaderProtocol } from "./io/stream-protocol.ts";
export { StreamWriter } from "./io/stream-writer.ts";
export { createSubprocess, Process } from "./io/subprocess.ts";
export { run, Runner } from "./event-loop/runner.ts";
export {
  errorClassNames,
  knownErrorPrototype,
  registerErrorClass,
  registerErrorClasses,
} from "./error-classes.ts";
export {
  ArgumentError,
  BrokenBarrierError,
  CancelledError,
  ConnectionLostError,
  DeadlockError,
  IncompleteReadError,
  InvalidStateError,
  LimitOverrunError,
  markAsTaskloomError,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  TaskloomError,
  TimeoutError,
  UsageError,
} from "./errors.ts";

export type { EventLoopOptions, ExceptionHandler, TaskFactory } from "./event-loop/event-loop.ts";
export type { Clock } from "./kernel/clock.ts";
export type { FutureOptions } from "./task/future.ts";
export type { TaskOptions } from "./task/task.ts";
export type { ErrorClass } from "./error-classes.ts";
export type { ExternalTaskOptions } from "./task/external-task.ts";
export type { CoroutineFunction } from "./task/coroutine.ts";
export type { Awaitable, Startable } from "./task/open.ts";
export type { Sleeping } from "./waiting/sleep.ts";
export type { Gathered, GatheredOrErrors, GatherOptions } from "./waiting/gather.ts";
export type { ReturnWhen, WaitOptions } from "./waiting/wait.ts";
export type { AsCompletedOptions } from "./waiting/as-completed.ts";
export type { TimeoutBody } from "./waiting/timeout.ts";
export type { TaskGroupBody } from "./waiting/task-group.ts";
export type { SignalOption } from "./task/signal.ts";
export type { Held } from "./sync/held.ts";
export type { Compare } from "./sync/queue.ts";
export type { SocketAddress } from "./io/address.ts";
export type { ConnectOptions } from "./io/connection.ts";
export type { DatagramOptions, UdpAddress } from "./io/datagram-transport.ts";
export type { StreamLimit, Streams } from "./io/open-streams.ts";
export type { ListenAt } from "./io/listen-at.ts";
export type { StartTlsOptions } from "./io/start-tls.ts";
export type { ClientConnected } from "./io/stream-protocol.ts";
export type { PausableSource, StreamReaderOptions } from "./io/stream-reader.ts";
export type { Communicated } from "./io/subprocess.ts";
export type { Stdio, SubprocessOptions } from "./io/subprocess-transport.ts";
export type { ClientTls, ServerTls } from "./io/tls-options.ts";
export type { ExtraInfo } from "./io/extra-info.ts";
export type { WriteBufferLimits } from "./io/write-buffer-limits.ts";
export type { RunOptions } from "./event-loop/runner.ts";
export type { Executor } from "./event-loop/executor.ts";
export type { CallGraph } from "./diagnosis/call-graph.ts";
export type { Wait } from "./diagnosis/waits.ts";
export type { LoopMetrics } from "./diagnosis/metrics.ts";
export type { ExceptionContext } from "./kernel/exceptions.ts";
