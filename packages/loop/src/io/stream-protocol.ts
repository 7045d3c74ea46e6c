import type { Loop } from "../kernel/loop.ts";
import { isAwaitable } from "../task/open.ts";
import { FlowControl } from "./flow-control.ts";
import { Protocol } from "./protocol.ts";
import type { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";
import type { Transport } from "./transport.ts";

/** Called with the streams of every connection. If it returns an awaitable, that becomes a task. */
export type ClientConnected = (reader: StreamReader, writer: StreamWriter) => unknown;

/**
 * The protocol behind the streams. It feeds a StreamReader, and pauses and resumes a StreamWriter.
 *
 * ```ts
 * import { getRunningLoop, Protocol, run, StreamReader, StreamReaderProtocol } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   const server = await loop.createServer(() => new Protocol(), { host: "127.0.0.1" });
 *   const reader = new StreamReader();
 *   const [transport, protocol] = await loop.createConnection(() => new StreamReaderProtocol(reader), {
 *     host: "127.0.0.1",
 *     port: server.sockets()[0]!.port,
 *   });
 *   console.log(protocol instanceof StreamReaderProtocol); // true
 *   transport.close();
 *   server.close();
 *   await server.waitClosed();
 * });
 * ```
 */
export class StreamReaderProtocol extends Protocol {
  readonly #loop: Loop;
  readonly #reader: StreamReader;
  readonly #clientConnected: ClientConnected | null;
  /** @internal */
  readonly _flow: FlowControl;

  constructor(reader: StreamReader, clientConnected: ClientConnected | null = null) {
    super();
    this.#loop = reader._loop;
    this.#reader = reader;
    this.#clientConnected = clientConnected;
    this._flow = new FlowControl(reader._loop);
  }

  override connectionMade(transport: Transport): void {
    this.#reader.setTransport(transport);
    if (this.#clientConnected === null) return;
    const writer = new StreamWriter(transport, this._flow, this.#reader);
    const handler = this.#clientConnected;
    const task = this.#loop.createTask<unknown>(() => {
      const work = handler(this.#reader, writer);
      return isAwaitable(work) ? work : Promise.resolve(work); // the handler may be a plain function
    });
    task.addDoneCallback(() => {
      if (task.cancelled()) {
        transport.close();
        return;
      }
      const exception = task.exception();
      if (exception === undefined) return;
      this.#loop.callExceptionHandler({
        message: "Unhandled exception in client_connected_cb",
        exception,
        transport,
      });
      transport.close();
    });
  }

  override dataReceived(data: Buffer): void {
    this.#reader.feedData(data);
  }

  override eofReceived(): boolean {
    this.#reader.feedEof();
    return true;
  }

  override pauseWriting(): void {
    this._flow.pause();
  }

  override resumeWriting(): void {
    this._flow.resume();
  }

  override connectionLost(error: Error | null): void {
    if (error === null) this.#reader.feedEof();
    else this.#reader.setException(error);
    this._flow.lost(error);
  }
}
