import { ArgumentError, UsageError } from "../errors.ts";
import { describesItself } from "../describe.ts";
import type { Loop } from "../kernel/loop.ts";
import { currentLoop } from "../task/running.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { gather } from "../waiting/gather.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import type { StreamLimit } from "./open-streams.ts";
import { SubprocessProtocol } from "./protocol.ts";
import { FlowControl } from "./flow-control.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";
import type { SubprocessOptions, SubprocessTransport } from "./subprocess-transport.ts";

/** The output of a child, as far as it was piped. */
export interface Communicated {
  /** The bytes of the standard output; null if that was not a pipe. */
  readonly stdout: Buffer | null;
  /** The bytes of the standard error; null if that was not a pipe. */
  readonly stderr: Buffer | null;
}

class StreamsProtocol extends SubprocessProtocol {
  readonly #loop: Loop;
  readonly #limit: number | undefined;
  readonly #stdinFlow: FlowControl;
  stdin: StreamWriter | null = null;
  readonly readers: Map<number, StreamReader> = new Map();

  constructor(loop: Loop, limit: number | undefined) {
    super();
    this.#loop = loop;
    this.#limit = limit;
    this.#stdinFlow = new FlowControl(loop);
  }

  override connectionMade(transport: SubprocessTransport): void {
    const stdin = transport.getPipeTransport(0);
    if (stdin !== undefined) this.stdin = new StreamWriter(stdin, this.#stdinFlow, null);
    for (const fd of [1, 2]) {
      const pipe = transport.getPipeTransport(fd);
      if (pipe === undefined) continue;
      const reader = new StreamReader({ limit: this.#limit, loop: this.#loop });
      reader.setTransport(pipe);
      this.readers.set(fd, reader);
    }
  }

  override pipeDataReceived(fd: number, data: Buffer): void {
    this.readers.get(fd)?.feedData(data);
  }

  override pipeConnectionLost(fd: number, error: Error | null): void {
    if (fd === 0) this.#stdinFlow.lost(error);
    else if (error === null) this.readers.get(fd)?.feedEof();
    else this.readers.get(fd)?.setException(error);
  }

  override pauseWriting(): void {
    this.#stdinFlow.pause();
  }

  override resumeWriting(): void {
    this.#stdinFlow.resume();
  }
}

/**
 * Starts a program. Its three standard streams are this process's own, except those with the option `"pipe"`.
 * A child that still runs at the end of `run` is killed. Node's errors (`ENOENT` for an unknown program) are
 * thrown unchanged.
 *
 * ```ts
 * import { createSubprocess, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const child = await createSubprocess("cat", [], { stdin: "pipe", stdout: "pipe" });
 *   const { stdout } = await child.communicate("hello");
 *   console.log(stdout?.toString(), child.returnCode); // hello 0
 * });
 * ```
 */
export function createSubprocess(
  program: string,
  args: readonly string[] = [],
  options: SubprocessOptions & StreamLimit = {},
): Coroutine<Process> {
  return routine("createSubprocess", () => start(program, args, options), options.signal);
}

function* start(
  program: string,
  args: readonly string[],
  options: SubprocessOptions & StreamLimit,
): Generator<never, Process, unknown> {
  const { limit, signal: _, ...rest } = options;
  const loop = currentLoop();
  const [transport, protocol] = yield* loop.createSubprocess(
    () => new StreamsProtocol(loop, limit),
    program,
    args,
    rest,
  );
  return new Process(transport, protocol);
}

/**
 * A child process, made by `createSubprocess`. With `await using`, disposing the process kills it and waits
 * until it has ended and its pipes are closed.
 *
 * ```ts
 * import { createSubprocess, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const child = await createSubprocess("cat", [], { stdin: "pipe", stdout: "pipe" });
 *   const { stdout } = await child.communicate("through the pipe");
 *   console.log(stdout?.toString()); // through the pipe
 * });
 * ```
 */
export class Process implements AsyncDisposable {
  /** The child's standard input, if it is a pipe. */
  readonly stdin: StreamWriter | null;
  /** The child's standard output, if it is a pipe. Read it: the child is blocked while the pipe is full. */
  readonly stdout: StreamReader | null;
  /** The child's standard error, if it is a pipe. Read it: the child is blocked while the pipe is full. */
  readonly stderr: StreamReader | null;
  readonly #transport: SubprocessTransport;

  /** Made by the library. */
  constructor(transport: SubprocessTransport, protocol: StreamsProtocol) {
    this.#transport = transport;
    this.stdin = protocol.stdin;
    this.stdout = protocol.readers.get(1) ?? null;
    this.stderr = protocol.readers.get(2) ?? null;
  }

  /** The process id. */
  get pid(): number {
    return this.#transport.getPid();
  }

  /** The exit code, or the negative number of the signal that killed the process; null while it runs. */
  get returnCode(): number | null {
    return this.#transport.getReturnCode();
  }

  /**
   * Waits for the end of the process, and returns its return code. If the child has pipes, another task must
   * read them meanwhile; `communicate` does.
   */
  wait(options: SignalOption = {}): Coroutine<number> {
    return routine("wait", () => this.#transport._wait(), options.signal);
  }

  /**
   * Writes `input` to the child, closes the child's input, reads its output to the end, and waits for its
   * end. It is no error if the child does not read the input. Cancelling this call leaves the child running.
   *
   * @throws {@link UsageError} if there is `input` and the child's standard input is not a pipe.
   */
  communicate(input?: string | Uint8Array | null, options: SignalOption = {}): Coroutine<Communicated> {
    return routine("communicate", () => this.#communicate(input ?? null), options.signal);
  }

  *#communicate(input: string | Uint8Array | null): Generator<never, Communicated, unknown> {
    const { stdin, stdout, stderr } = this;
    if (input !== null && stdin === null) {
      throw new UsageError("NO_STDIN", 'The child has no pipe for its input: start it with stdin: "pipe"');
    }
    if (input !== null && typeof input !== "string" && !(input instanceof Uint8Array)) {
      throw new ArgumentError("Expected `input` to be a string or bytes");
    }
    const [, out, err] = yield* gather([
      () => feed(stdin, input),
      () => readAll(stdout),
      () => readAll(stderr),
    ]);
    yield* this.#transport._wait();
    return { stdout: out, stderr: err };
  }

  /** Sends a signal. Returns false if the process has ended. */
  sendSignal(signal: NodeJS.Signals | number): boolean {
    return this.#transport.sendSignal(signal);
  }

  /** Sends SIGTERM, which asks the process to end. */
  terminate(): boolean {
    return this.#transport.terminate();
  }

  /** Sends SIGKILL, which ends the process. */
  kill(): boolean {
    return this.#transport.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport.close();
    await routine("close", () => this.#transport._waitClosed());
  }

  /** @internal */
  _describe(): string {
    return `<Process ${this.pid}${this.returnCode === null ? "" : ` returnCode=${this.returnCode}`}>`;
  }
}

describesItself(Process);

function* feed(
  stdin: StreamWriter | null,
  input: string | Uint8Array | null,
): Generator<never, void, unknown> {
  if (stdin === null) return;
  try {
    if (input !== null) {
      stdin.write(input);
      yield* stdin.drain();
    }
    stdin.close();
    yield* stdin.waitClosed();
  } catch (error) {
    if (!isBrokenPipe(error)) throw error;
  }
}

function isBrokenPipe(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EPIPE" || code === "ECONNRESET" || code === "CONNECTION_LOST";
}

function* readAll(reader: StreamReader | null): Generator<never, Buffer | null, unknown> {
  return reader === null ? null : yield* reader.read();
}
