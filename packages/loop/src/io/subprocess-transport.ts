import type { ChildProcess, SpawnOptions } from "node:child_process";
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import { ArgumentError } from "../errors.ts";
import { describesItself } from "../describe.ts";
import type { Loop } from "../kernel/loop.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { builtin } from "./builtin.ts";
import { asCallback, outsideTask } from "./callback.ts";
import { eventFuture, ignoreErrors } from "./event-future.ts";
import type { OpenResource, OpenResources, Owner } from "./open-resources.ts";
import { Protocol } from "./protocol.ts";
import type { SubprocessProtocol } from "./protocol.ts";
import { Transport } from "./transport.ts";
import { Waiters } from "./waiters.ts";

/**
 * The target of one of a child's three descriptors: a pipe, this process's own descriptor, no target, or a
 * descriptor by number.
 */
export type Stdio = "pipe" | "inherit" | "ignore" | number;

/** The options of a child process. */
export interface SubprocessOptions extends SignalOption {
  /** The child's standard input; this process's own by default, as in Python. */
  stdin?: Stdio | undefined;
  /** The child's standard output; this process's own by default. */
  stdout?: Stdio | undefined;
  /** The child's standard error; this process's own by default. */
  stderr?: Stdio | undefined;
  /** The child's working directory; this process's own by default. */
  cwd?: string | URL | undefined;
  /** The child's environment; this process's own by default. */
  env?: NodeJS.ProcessEnv | undefined;
  /** Whether a shell runs `program` as a command line. */
  shell?: boolean | string | undefined;
  /** Whether the child has a process group of its own. */
  detached?: boolean | undefined;
  /** The user id of the child (POSIX). */
  uid?: number | undefined;
  /** The group id of the child (POSIX). */
  gid?: number | undefined;
  /** The child's own name, `argv[0]`. */
  argv0?: string | undefined;
}

/**
 * Starts a child, and returns its transport and protocol. Node's errors (`ENOENT` …) are thrown unchanged.
 */
export function createSubprocessTransport<P extends SubprocessProtocol>(
  loop: Loop,
  resources: OpenResources,
  protocolFactory: () => P,
  program: string,
  args: readonly string[],
  options: SubprocessOptions,
): Coroutine<[transport: SubprocessTransport, protocol: P]> {
  return routine(
    "createSubprocess",
    function* () {
      if (typeof program !== "string" || program === "") {
        throw new ArgumentError("Expected `program` to be a string that is not empty");
      }
      const { stdin = "inherit", stdout = "inherit", stderr = "inherit", signal: _, ...rest } = options;
      const protocol = protocolFactory();
      const child = outsideTask(() =>
        builtin.childProcess.spawn(program, [...args], {
          ...(rest as SpawnOptions),
          stdio: [stdin, stdout, stderr],
        }),
      );
      // Without a pid the start has failed, and an event will report the reason.
      if (child.pid === undefined) {
        ignoreErrors(child); // the call may be cancelled before the event
        yield* eventFuture(loop, child, "spawn");
      }
      const transport = new SubprocessTransport(loop, child, protocol, resources);
      // This happens at once. A quick child ends before the next turn, and Node drops data that has no
      // listener.
      transport._begin();
      return [transport, protocol] as [SubprocessTransport, P];
    },
    options.signal,
  );
}

/** Passes the data of one of a child's pipes to the child's protocol. */
class PipeProtocol extends Protocol {
  readonly #transport: SubprocessTransport;
  readonly #fd: number;
  constructor(transport: SubprocessTransport, fd: number) {
    super();
    this.#transport = transport;
    this.#fd = fd;
  }
  get #child(): SubprocessProtocol {
    return this.#transport.getProtocol();
  }
  override dataReceived(data: Buffer): void {
    this.#transport._call("pipeDataReceived", () => this.#child.pipeDataReceived(this.#fd, data));
  }
  override pauseWriting(): void {
    this.#transport._call("pauseWriting", () => this.#child.pauseWriting());
  }
  override resumeWriting(): void {
    this.#transport._call("resumeWriting", () => this.#child.resumeWriting());
  }
  override connectionLost(error: Error | null): void {
    this.#transport._call("pipeConnectionLost", () => this.#child.pipeConnectionLost(this.#fd, error));
  }
}

/**
 * A child process with a Transport for each pipe. It is RUNNING until Node reports its end, then EXITED
 * (`protocol.processExited`), and LOST once its pipes are closed (`protocol.connectionLost`).
 *
 * ```ts
 * import { Event, getRunningLoop, run, SubprocessProtocol } from "@taskloom/loop";
 *
 * class Exit extends SubprocessProtocol {
 *   override processExited(): void {
 *     exited.set();
 *   }
 * }
 * const exited = new Event();
 *
 * await run(async () => {
 *   const [transport] = await getRunningLoop().createSubprocess(() => new Exit(), "true", []);
 *   await exited.wait();
 *   console.log(transport.getReturnCode()); // 0
 * });
 * ```
 */
export class SubprocessTransport implements OpenResource {
  readonly #loop: Loop;
  readonly #child: ChildProcess;
  #protocol: SubprocessProtocol;
  readonly #resources: OpenResources;
  readonly #pipes = new Map<number, Transport>();
  #open = 0;
  #returnCode: number | null = null;
  #isClosed = false;
  readonly #untilExit: Waiters<number>;
  readonly #untilClosed: Waiters<void>;

  /** Made by the library. */
  constructor(loop: Loop, child: ChildProcess, protocol: SubprocessProtocol, resources: OpenResources) {
    this.#loop = loop;
    this.#child = child;
    this.#protocol = protocol;
    this.#resources = resources;
    this.#untilExit = new Waiters(loop);
    this.#untilClosed = new Waiters(loop);
    child.once("exit", (code, signal) => this.#exited(signal === null ? code! : -constants.signals[signal]));
  }

  #exited(returnCode: number): void {
    this.#returnCode = returnCode;
    this._call("processExited", () => this.#protocol.processExited());
    this.#untilExit.succeed(returnCode);
    this.#endIfDone();
  }

  /** @internal */
  _begin(): void {
    // Node reports later failures as an event, such as a kill that is not permitted.
    this.#child.on("error", (exception) =>
      this.#loop.callExceptionHandler({ message: "A child process failed", exception, transport: this }),
    );
    this.#resources.add(this);
    const owner: Owner = {
      add: () => this.#open++,
      delete: () => {
        this.#open--;
        this.#endIfDone();
      },
    };
    for (const [fd, stream] of this.#child.stdio.entries()) {
      if (stream === null || stream === undefined) continue;
      this.#pipes.set(
        fd,
        new Transport(this.#loop, stream as Duplex, new PipeProtocol(this, fd), owner, true),
      );
    }
    this._call("connectionMade", () => this.#protocol.connectionMade(this));
    for (const pipe of this.#pipes.values()) pipe._begin();
  }

  #endIfDone(): void {
    if (this.#returnCode === null || this.#open > 0 || this.#isClosed) return;
    this.#isClosed = true;
    this.#resources.delete(this);
    this._call("connectionLost", () => this.#protocol.connectionLost(null));
    this.#untilClosed.succeed();
  }

  /** @internal Calls the protocol. If the protocol throws, the error is reported and the child continues. */
  _call(method: keyof SubprocessProtocol, fn: () => void): void {
    try {
      asCallback(this.#loop, fn);
    } catch (exception) {
      this.#loop.callExceptionHandler({
        message: `protocol.${method}() failed`,
        exception,
        transport: this,
      });
    }
  }

  /** Returns the process id. */
  getPid(): number {
    return this.#child.pid!;
  }

  /**
   * Returns the exit code, or the negative number of the signal that killed the process; null while it runs.
   */
  getReturnCode(): number | null {
    return this.#returnCode;
  }

  /** Returns the transport of a pipe: 0 for writing, 1 and 2 for reading. */
  getPipeTransport(fd: number): Transport | undefined {
    return this.#pipes.get(fd);
  }

  /** Returns the protocol that receives the events. */
  getProtocol(): SubprocessProtocol {
    return this.#protocol;
  }

  /** Replaces the protocol that receives the events. */
  setProtocol(protocol: SubprocessProtocol): void {
    this.#protocol = protocol;
  }

  /** @internal Waits for the end of the process, and returns its return code. */
  *_wait(): Generator<never, number, unknown> {
    return this.#returnCode ?? (yield* this.#untilExit.wait());
  }

  /** @internal Waits until the process has ended and its pipes are closed. */
  *_waitClosed(): Generator<never, void, unknown> {
    if (!this.#isClosed) yield* this.#untilClosed.wait();
  }

  /** Sends a signal. Returns false if the process has ended. */
  sendSignal(signal: NodeJS.Signals | number): boolean {
    return this.#returnCode === null && this.#child.kill(signal);
  }

  /** Sends SIGTERM, which asks the process to end. */
  terminate(): boolean {
    return this.sendSignal("SIGTERM");
  }

  /** Sends SIGKILL, which ends the process. */
  kill(): boolean {
    return this.sendSignal("SIGKILL");
  }

  /** Returns whether the process has ended and its pipes are closed. */
  isClosing(): boolean {
    return this.#isClosed;
  }

  /** Closes the pipes, and kills the process if it runs. */
  close(): void {
    for (const pipe of this.#pipes.values()) pipe.abort();
    this.kill();
  }

  /** @internal */
  abort(): void {
    this.close();
  }

  /** @internal */
  _describe(): string {
    const state = this.#returnCode === null ? "running" : `returnCode=${this.#returnCode}`;
    return `<SubprocessTransport pid=${this.#child.pid} ${state} pipes=${this.#open}>`;
  }
}

describesItself(SubprocessTransport);
