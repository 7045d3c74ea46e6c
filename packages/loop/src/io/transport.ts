import type { Duplex } from "node:stream";
import { ArgumentError, UsageError } from "../errors.ts";
import { describe, describesItself } from "../describe.ts";
import type { Loop } from "../kernel/loop.ts";
import { turn } from "../kernel/turn.ts";
import { machine } from "../task/machine.ts";
import { asCallback } from "./callback.ts";
import { Gathered } from "./gathered.ts";
import { extraInfo } from "./extra-info.ts";
import type { ExtraInfo } from "./extra-info.ts";
import type { OpenResource, Owner } from "./open-resources.ts";
import type { Protocol } from "./protocol.ts";
import { DEFAULT_LIMITS, writeBufferLimits } from "./write-buffer-limits.ts";
import type { WriteBufferLimits } from "./write-buffer-limits.ts";

const TRANSPORT: unique symbol = Symbol("taskloom.transport");

/** The maximal size of small pieces that are written together, in bytes (characters for a string). */
const MOST_GATHERED = 16 * 1024;

/**
 * A Node stream that a transport drives. Listeners find the transport in this property, so a connection needs
 * no closures.
 */
type DrivenStream = Duplex & { [TRANSPORT]?: Transport | undefined };

/**
 * A stream connection. It sends the data of its Protocol, and passes received data to the Protocol. It is
 * made by `loop.createConnection`, `loop.createServer` and the streams.
 *
 * Reading is on, or paused by `pauseReading`. Writing is free, or paused from the time when the buffer
 * exceeds its high limit (`protocol.pauseWriting`) until it has fallen to its low limit (`resumeWriting`). A
 * connection is OPEN, then CLOSING (after `close`, `abort` or the other end's EOF), and LOST once Node has
 * closed the socket; `protocol.connectionLost` is then called once.
 *
 * ```ts
 * import { getRunningLoop, Protocol, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   const server = await loop.createServer(() => new Protocol(), { host: "127.0.0.1" });
 *   const [transport] = await loop.createConnection(() => new Protocol(), {
 *     host: "127.0.0.1",
 *     port: server.sockets()[0]!.port,
 *   });
 *   transport.write("hello");
 *   transport.close();
 *   console.log(transport.isClosing()); // true
 *   server.close();
 *   await server.waitClosed();
 * });
 * ```
 */
export class Transport implements OpenResource {
  readonly #loop: Loop;
  #stream: DrivenStream;
  #protocol: Protocol;
  readonly #owner: Owner;
  readonly #isPipe: boolean;
  #limits: WriteBufferLimits = DEFAULT_LIMITS;
  #error: Error | null = null;
  #isWritingPaused = false;
  #isReadingPaused = false;
  #isEnded = false;
  #isClosing = false;
  #isLost = false;
  #flushed: ((error?: Error | null) => void) | null = null;
  /** Small pieces that are written together at the end of the tick, or with the next `write`. */
  #gathered: Gathered | null = null;

  /** Made by the library. */
  constructor(loop: Loop, stream: Duplex, protocol: Protocol, owner: Owner, isPipe = false) {
    this.#loop = loop;
    this.#stream = stream;
    this.#protocol = protocol;
    this.#owner = owner;
    this.#isPipe = isPipe;
    if (!("write" in stream)) this.#isEnded = true;
  }

  /** @internal Calls `connectionMade`, and starts to read. */
  _begin(): void {
    this.#owner.add(this);
    this.#attach();
    // The stream was closed before, and its event will not come again.
    if (this.#stream.closed) this.#loop.callSoon(() => this._lost());
    try {
      asCallback(this.#loop, () => this.#protocol.connectionMade(this));
    } catch (error) {
      this.#threw("connectionMade", error, "encrypted" in this.#stream);
    }
  }

  #attach(): void {
    const stream = this.#stream;
    stream[TRANSPORT] = this;
    stream.on("error", onError);
    stream.on("close", onClose);
    stream.on("end", onEnd);
    if (!stream.readable) return;
    if (this.#isReadingPaused) stream.pause();
    stream.on("data", onData);
  }

  #detach(): void {
    const stream = this.#stream;
    stream.pause();
    stream.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onError);
    stream[TRANSPORT] = undefined;
  }

  /** @internal Stops reading for STARTTLS, and returns the bare socket. */
  _release(): Duplex {
    this._sendGathered();
    this.#detach();
    return this.#stream;
  }

  /** @internal Continues over another stream, for STARTTLS. */
  _replace(stream: Duplex): void {
    this.#stream = stream;
    this.#attach();
    if (!this.#isReadingPaused) stream.resume();
  }

  /** @internal */
  get _loop(): Loop {
    return this.#loop;
  }

  /**
   * Returns a fact about the connection. It is undefined where it does not apply, or once the connection is
   * lost.
   */
  getExtraInfo<K extends keyof ExtraInfo>(name: K): ExtraInfo[K] | undefined {
    return extraInfo(this.#stream, name) as ExtraInfo[K] | undefined;
  }

  /** Returns the protocol that receives the events. */
  getProtocol(): Protocol {
    return this.#protocol;
  }

  /** Replaces the protocol that receives the events. */
  setProtocol(protocol: Protocol): void {
    this.#protocol = protocol;
  }

  // -- reading --

  /** Returns whether received data is passed to the protocol. */
  isReading(): boolean {
    return !this.#isReadingPaused && !this.#isClosing;
  }

  /**
   * Passes no data to the protocol until `resumeReading`. The other end is blocked once the system's buffers
   * are full.
   */
  pauseReading(): void {
    if (!this.isReading()) return;
    this.#isReadingPaused = true;
    if (this.#stream.readable) this.#stream.pause();
  }

  /** Passes data to the protocol again. */
  resumeReading(): void {
    if (this.#isClosing || !this.#isReadingPaused) return;
    this.#isReadingPaused = false;
    if (this.#stream.readable) this.#stream.resume();
  }

  /** @internal */
  _received(data: Buffer): void {
    if (this.#isClosing) return;
    if (this.#isReadingPaused) {
      // Node resumes a child's pipes when the child ends, even paused ones. The data is kept until reading
      // resumes.
      this.#stream.pause();
      this.#stream.unshift(data);
      return;
    }
    // This is asCallback, inlined: it is the hottest code of a server.
    const { loop: outerLoop } = turn;
    const { strand: outerStrand } = machine;
    turn.loop = this.#loop;
    machine.strand = null;
    try {
      this.#protocol.dataReceived(data);
    } catch (error) {
      this.#threw("dataReceived", error, !this.#isPipe);
    } finally {
      turn.loop = outerLoop;
      machine.strand = outerStrand;
    }
  }

  /** @internal */
  _ended(): void {
    if (this.#isClosing) return;
    let keepsOpen: boolean | void = false;
    try {
      keepsOpen = asCallback(this.#loop, () => this.#protocol.eofReceived());
    } catch (error) {
      this.#threw("eofReceived", error, !this.#isPipe);
    }
    if (keepsOpen !== true || !this.#stream.writable || this.#isEnded) this.close();
  }

  // -- writing --

  /**
   * Sends data through a buffer, and never waits; a string is sent as UTF-8. The protocol does not write
   * while it is paused (`pauseWriting`). As in asyncio, data for a closing or lost connection is dropped.
   *
   * @throws {@link UsageError} after `writeEof()`.
   * @throws {@link ArgumentError} if `data` is neither a string nor bytes.
   */
  write(data: string | Uint8Array): void {
    this.#checkWritable(data);
    if (data.length === 0 || this.#isClosing) return;
    if (this.#gathered === null) this.#write(data);
    else if (this.#gathered.size + data.length > MOST_GATHERED) {
      this._sendGathered();
      this.#write(data);
    } else {
      this.#gathered.add(data);
      this._sendGathered();
    }
  }

  /**
   * @internal Writes data together with more data of this tick, so that many small pieces cost one system
   *   call.
   */
  _gather(data: string | Uint8Array): void {
    this.#checkWritable(data);
    if (data.length === 0 || this.#isClosing) return;
    // Gathered data stays below the low limit, so flow control can ignore it.
    const size = this.getWriteBufferSize() + data.length;
    if (size > MOST_GATHERED || size > this.#limits.low) {
      this.write(data);
      return;
    }
    if (this.#gathered === null) {
      this.#gathered = new Gathered();
      process.nextTick(sendGathered, this);
    }
    this.#gathered.add(data);
  }

  /** @internal */
  _sendGathered(): void {
    const gathered = this.#gathered;
    if (gathered === null) return;
    this.#gathered = null;
    if (!this.#stream.destroyed) this.#write(gathered.take());
  }

  #checkWritable(data: string | Uint8Array): void {
    if (typeof data !== "string" && !(data instanceof Uint8Array)) {
      throw new ArgumentError(`Expected \`data\` to be a string or bytes, got ${describe(data)}`);
    }
    if (this.#isEnded) {
      throw new UsageError("WRITE_AFTER_EOF", "Cannot write after writeEof(), or to a read-only pipe");
    }
  }

  #write(data: string | Uint8Array): void {
    const stream = this.#stream;
    if (stream.writableLength + data.length <= this.#limits.low) {
      stream.write(data);
      return;
    }
    // Only a write that may leave the buffer above the low limit needs a callback.
    this.#flushed ??= (error) => this.#onFlushed(error);
    stream.write(data, this.#flushed);
    if (!this.#isWritingPaused && stream.writableLength > this.#limits.high) this.#pauseWriting();
  }

  /** Sends several pieces. */
  writeLines(pieces: Iterable<string | Uint8Array>): void {
    this.#stream.cork();
    try {
      for (const piece of pieces) this.write(piece);
    } finally {
      this.#stream.uncork();
    }
  }

  /**
   * Ends this side after the written data; the other end may continue to send.
   *
   * @throws {@link UsageError} over TLS, which has no such state (`canWriteEof`).
   */
  writeEof(): void {
    if (!this.canWriteEof()) {
      throw new UsageError("NO_HALF_CLOSE", "TLS connections cannot be half closed: close() instead");
    }
    if (this.#isEnded || this.#isClosing) return;
    this._sendGathered();
    this.#isEnded = true;
    this.#stream.end();
  }

  /** Returns whether this side can be ended alone; false over TLS. */
  canWriteEof(): boolean {
    return !("encrypted" in this.#stream);
  }

  /** Returns the number of bytes that wait to be sent. */
  getWriteBufferSize(): number {
    return this.#stream.writableLength + (this.#gathered === null ? 0 : this.#gathered.size);
  }

  /** Returns the limits of flow control, in bytes. */
  getWriteBufferLimits(): WriteBufferLimits {
    return this.#limits;
  }

  /**
   * Sets the limits of flow control, in bytes. By default `high` is 64 KiB, and `low` is a quarter of `high`.
   */
  setWriteBufferLimits(limits: Partial<WriteBufferLimits> = {}): void {
    this._sendGathered();
    this.#limits = writeBufferLimits(limits);
    if (this.#isWritingPaused || this.#stream.writableLength <= this.#limits.high) return;
    // The pending data may have been written without a callback.
    this.#flushed ??= (error) => this.#onFlushed(error);
    this.#stream.once("drain", this.#flushed);
    this.#pauseWriting();
  }

  #pauseWriting(): void {
    this.#isWritingPaused = true;
    this.#call("pauseWriting");
  }

  /** If there is an error, the buffer was dropped and not sent, so writing must not resume. */
  #onFlushed(error: Error | null | undefined): void {
    if (error != null) return;
    if (!this.#isWritingPaused || this.#isLost || this.#stream.writableLength > this.#limits.low) return;
    this.#isWritingPaused = false;
    this.#call("resumeWriting");
  }

  #call(method: "pauseWriting" | "resumeWriting"): void {
    try {
      asCallback(this.#loop, () => this.#protocol[method]());
    } catch (error) {
      this.#threw(method, error, false);
    }
  }

  // -- the end --

  /** Returns whether the connection is closed or closing. */
  isClosing(): boolean {
    return this.#isClosing;
  }

  /** Stops reading, sends the buffered data, then closes. `protocol.connectionLost(null)` follows. */
  close(): void {
    if (this.#isClosing) return;
    this._sendGathered();
    this.#isClosing = true;
    const stream = this.#stream;
    if (stream.readable) stream.pause();
    // The test is not `=== 0`, because a read-only stream has no such length.
    if (!(stream.writableLength > 0) && !("encrypted" in stream)) stream.destroy();
    else if (stream.writable) stream.end(() => stream.destroy());
    else if (stream.writableFinished) stream.destroy();
    else stream.once("finish", () => stream.destroy());
  }

  /** Closes at once. Buffered data is lost. */
  abort(): void {
    this._sendGathered(); // the system may still accept the data, as it would have accepted each piece
    this.#isClosing = true;
    this.#stream.destroy();
  }

  /**
   * Reports an exception of the protocol. As in CPython, the exception closes the connection if it comes from
   * `dataReceived` or `eofReceived` of a socket, or from `connectionMade` over TLS. Pipes, and sockets whose
   * `connectionMade` or flow control failed, continue.
   */
  #threw(method: keyof Protocol, exception: unknown, isFatal: boolean): void {
    this.#loop.callExceptionHandler({
      message: `${isFatal ? "Fatal error: " : ""}protocol.${method}() failed`,
      exception,
      transport: this,
    });
    if (!isFatal) return;
    if (this.#error === null && exception instanceof Error) this.#error = exception;
    this.abort();
  }

  /** @internal */
  _failed(error: Error): void {
    this.#error ??= error;
    this.#isClosing = true;
  }

  /** @internal */
  _lost(): void {
    if (this.#isLost) return;
    this.#isLost = this.#isClosing = true;
    try {
      asCallback(this.#loop, () => this.#protocol.connectionLost(this.#error));
    } catch (error) {
      this.#threw("connectionLost", error, false);
    }
    this.#owner.delete(this);
  }

  /** @internal */
  _describe(): string {
    const state = this.#isLost ? "closed" : this.#isClosing ? "closing" : "open";
    const peer = this.getExtraInfo("peername");
    const to = peer === undefined ? "" : ` peer=${peer.address}:${peer.port}`;
    return `<Transport ${state}${to} buffered=${this.getWriteBufferSize()}>`;
  }
}

describesItself(Transport);

function onData(this: DrivenStream, data: Buffer): void {
  this[TRANSPORT]?._received(data);
}
function onEnd(this: DrivenStream): void {
  this[TRANSPORT]?._ended();
}
function onError(this: DrivenStream, error: Error): void {
  this[TRANSPORT]?._failed(error);
}
function onClose(this: DrivenStream): void {
  this[TRANSPORT]?._lost();
}
function sendGathered(transport: Transport): void {
  transport._sendGathered();
}
