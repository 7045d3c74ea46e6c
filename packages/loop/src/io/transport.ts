import type { Duplex } from "node:stream";
import { ArgumentError, UsageError } from "../errors.ts";
import { describe, describesItself } from "../diagnosis/describe.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import { machine } from "../kernel/machine.ts";
import { asCallback } from "./callback.ts";
import { Gathered } from "./gathered.ts";
import { extraInfo } from "./extra-info.ts";
import type { ExtraInfo } from "./extra-info.ts";
import type { OpenResource, Owner } from "./open-resources.ts";
import type { Protocol } from "./protocol.ts";
import { defaultLimits, writeBufferLimits } from "./write-buffer-limits.ts";
import type { WriteBufferLimits } from "./write-buffer-limits.ts";

const TRANSPORT: unique symbol = Symbol("taskloom.transport");

/** Small pieces that are written together, in bytes (of a string: characters). */
const MOST_GATHERED = 16 * 1024;

/** A Node stream that a transport drives. Its listeners find the transport through it: no closure a connection. */
type DrivenStream = Duplex & { [TRANSPORT]?: Transport | undefined };

/**
 * A stream connection: it writes what a Protocol gives it, and tells the Protocol what comes. Made by
 * `loop.createConnection`, `loop.createServer` and the streams.
 *
 * Two states of each direction. Reading: on, or paused by `pauseReading`. Writing: free, or paused, from
 * when the buffer passes the high mark (`protocol.pauseWriting`) until it is down to the low one
 * (`resumeWriting`). OPEN -> CLOSING (`close`, `abort`, the other end's end) -> LOST, where
 * `protocol.connectionLost` is called, once, when Node has closed the socket.
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
  readonly #loop: EventLoop;
  #stream: DrivenStream;
  #protocol: Protocol;
  readonly #owner: Owner;
  readonly #isPipe: boolean;
  #limits: WriteBufferLimits = defaultLimits;
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
  constructor(loop: EventLoop, stream: Duplex, protocol: Protocol, owner: Owner, isPipe = false) {
    this.#loop = loop;
    this.#stream = stream;
    this.#protocol = protocol;
    this.#owner = owner;
    this.#isPipe = isPipe;
    if (!("write" in stream)) this.#isEnded = true;
  }

  /** @internal Calls `connectionMade`, and begins to read. */
  _begin(): void {
    this.#owner.add(this);
    this.#attach();
    // Its end is past, and will not be told again.
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

  /** @internal For STARTTLS: nothing is read any more, and the bare socket is given away. */
  _release(): Duplex {
    this._sendGathered();
    this.#detach();
    return this.#stream;
  }

  /** @internal For STARTTLS: goes on over another stream. */
  _replace(stream: Duplex): void {
    this.#stream = stream;
    this.#attach();
    if (!this.#isReadingPaused) stream.resume();
  }

  /** @internal */
  get _loop(): EventLoop {
    return this.#loop;
  }

  /** What is known about the connection. Undefined where it does not apply, or once the connection is gone. */
  getExtraInfo<K extends keyof ExtraInfo>(name: K): ExtraInfo[K] | undefined {
    return extraInfo(this.#stream, name) as ExtraInfo[K] | undefined;
  }

  /** The protocol that gets the calls. */
  getProtocol(): Protocol {
    return this.#protocol;
  }

  /** From now on, `protocol` gets the calls. */
  setProtocol(protocol: Protocol): void {
    this.#protocol = protocol;
  }

  // -- reading --

  /** Whether data that comes is passed on. */
  isReading(): boolean {
    return !this.#isReadingPaused && !this.#isClosing;
  }

  /** Passes on no data until `resumeReading`: the other end is held up once the system's buffers are full. */
  pauseReading(): void {
    if (!this.isReading()) return;
    this.#isReadingPaused = true;
    if (this.#stream.readable) this.#stream.pause();
  }

  /** Passes on data again. */
  resumeReading(): void {
    if (this.#isClosing || !this.#isReadingPaused) return;
    this.#isReadingPaused = false;
    if (this.#stream.readable) this.#stream.resume();
  }

  /** @internal */
  _received(data: Buffer): void {
    if (this.#isClosing) return;
    if (this.#isReadingPaused) {
      // Node resumes a child's pipes when the child ends, whoever paused them: the data waits for its reader.
      this.#stream.pause();
      this.#stream.unshift(data);
      return;
    }
    // asCallback, written out: this is what a server does most.
    const { loop: outerLoop, strand: outerStrand } = machine;
    machine.loop = this.#loop;
    machine.strand = null;
    try {
      this.#protocol.dataReceived(data);
    } catch (error) {
      this.#threw("dataReceived", error, !this.#isPipe);
    } finally {
      machine.loop = outerLoop;
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
   * Sends data, a string as UTF-8, through a buffer: it never waits. Hold back while the protocol is paused
   * (`pauseWriting`). What is written to a connection that is closing or lost is dropped, as asyncio does.
   * Throws a UsageError after `writeEof()`, and an ArgumentError for anything but a string or bytes.
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

  /** @internal `write` that waits for more of this tick, so that many small pieces cost one call of the system. */
  _gather(data: string | Uint8Array): void {
    this.#checkWritable(data);
    if (data.length === 0 || this.#isClosing) return;
    // Gathered data stays below the low mark, so that flow control need not know of it.
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
      throw new ArgumentError(`Expected a string or bytes to write, got ${describe(data)}`);
    }
    if (this.#isEnded) {
      throw new UsageError("WRITE_AFTER_EOF", "cannot write after writeEof(), or to what is only read from");
    }
  }

  #write(data: string | Uint8Array): void {
    const stream = this.#stream;
    if (stream.writableLength + data.length <= this.#limits.low) {
      stream.write(data);
      return;
    }
    // Only a write that may leave the buffer above the low mark needs to be told when it is through.
    this.#flushed ??= (error) => this.#onFlushed(error);
    stream.write(data, this.#flushed);
    if (!this.#isWritingPaused && stream.writableLength > this.#limits.high) this.#pauseWriting();
  }

  /** Writes several pieces. */
  writeLines(pieces: Iterable<string | Uint8Array>): void {
    this.#stream.cork();
    try {
      for (const piece of pieces) this.write(piece);
    } finally {
      this.#stream.uncork();
    }
  }

  /** Ends this side after what has been written; the other may go on sending. TLS has no such state: see `canWriteEof`. */
  writeEof(): void {
    if (!this.canWriteEof()) {
      throw new UsageError("NO_HALF_CLOSE", "TLS connections cannot be half closed: close() instead");
    }
    if (this.#isEnded || this.#isClosing) return;
    this._sendGathered();
    this.#isEnded = true;
    this.#stream.end();
  }

  /** Whether this side can be ended by itself: not over TLS. */
  canWriteEof(): boolean {
    return !("encrypted" in this.#stream);
  }

  /** How many bytes wait to be sent. */
  getWriteBufferSize(): number {
    return this.#stream.writableLength + (this.#gathered === null ? 0 : this.#gathered.size);
  }

  /** The marks of flow control, in bytes. */
  getWriteBufferLimits(): WriteBufferLimits {
    return this.#limits;
  }

  /** Sets them: `high` is 64 KiB by default, and `low` a quarter of `high`. */
  setWriteBufferLimits(limits: Partial<WriteBufferLimits> = {}): void {
    this._sendGathered();
    this.#limits = writeBufferLimits(limits);
    if (this.#isWritingPaused || this.#stream.writableLength <= this.#limits.high) return;
    // What is under way was perhaps written without asking to be told.
    this.#flushed ??= (error) => this.#onFlushed(error);
    this.#stream.once("drain", this.#flushed);
    this.#pauseWriting();
  }

  #pauseWriting(): void {
    this.#isWritingPaused = true;
    this.#call("pauseWriting");
  }

  /** With an error the buffer was not sent, but dropped: nobody is to go on writing. */
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

  /** Whether the connection is closed, or about to be. */
  isClosing(): boolean {
    return this.#isClosing;
  }

  /** Reads no more, sends what is in the buffer, then closes. `protocol.connectionLost(null)` follows. */
  close(): void {
    if (this.#isClosing) return;
    this._sendGathered();
    this.#isClosing = true;
    const stream = this.#stream;
    if (stream.readable) stream.pause();
    // Not `=== 0`: a stream that is only read from has no such length.
    if (!(stream.writableLength > 0) && !("encrypted" in stream)) stream.destroy();
    else if (stream.writable) stream.end(() => stream.destroy());
    else if (stream.writableFinished) stream.destroy();
    else stream.once("finish", () => stream.destroy());
  }

  /** Closes at once; what is in the buffer is lost. */
  abort(): void {
    this._sendGathered(); // the system may still take it, as it would have taken each piece
    this.#isClosing = true;
    this.#stream.destroy();
  }

  /**
   * Reports an exception of the protocol, and closes the connection where CPython does: after `dataReceived` and
   * `eofReceived` of a socket, and `connectionMade` over TLS. A pipe, and a socket whose `connectionMade` or flow
   * control failed, goes on.
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
