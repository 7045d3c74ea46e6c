import type { DatagramTransport } from "./datagram-transport.ts";
import type { SubprocessTransport } from "./subprocess-transport.ts";
import type { Transport } from "./transport.ts";
import type { UdpAddress } from "./datagram-transport.ts";

/** The callbacks that all protocols have: flow control and the end. */
export abstract class BaseProtocol {
  /**
   * Called when the transport's write buffer exceeds its high limit. The protocol stops writing until
   * `resumeWriting`.
   */
  pauseWriting(): void {}
  /** Called when the write buffer has fallen to its low limit. */
  resumeWriting(): void {}
  /** The last call: the connection is closed (null) or was lost to an error. */
  connectionLost(_error: Error | null): void {}
}

/**
 * The callbacks of a stream connection. One instance serves one connection. `connectionMade` is called first,
 * then `dataReceived` any number of times and `eofReceived` at most once, and `connectionLost` last.
 * ```ts
 * import { getRunningLoop, Protocol, run, type Transport } from "@taskloom/loop";
 *
 * class Echo extends Protocol {
 *   #transport: Transport | undefined;
 *   override connectionMade(transport: Transport): void {
 *     this.#transport = transport;
 *   }
 *   override dataReceived(data: Buffer): void {
 *     this.#transport?.write(data);
 *   }
 * }
 *
 * await run(async () => {
 *   const server = await getRunningLoop().createServer(() => new Echo(), { host: "127.0.0.1" });
 *   console.log(server.sockets().length); // 1
 *   server.close();
 *   await server.waitClosed();
 * });
 * ```
 * The calls and their order are those of CPython's `asyncio.Protocol`.
 */
export class Protocol extends BaseProtocol {
  /** Called once the connection is established. */
  connectionMade(_transport: Transport): void {}
  /** Called with the data of one read. The boundaries between calls have no meaning. */
  dataReceived(_data: Buffer): void {}
  /**
   * Called when the other end will send no more. If the result is true, this end stays open for writing;
   * otherwise the connection is closed.
   */
  eofReceived(): boolean | void {}
}

/**
 * The callbacks of a datagram endpoint.
 *
 * ```ts
 * import { DatagramProtocol, Event, getRunningLoop, run } from "@taskloom/loop";
 *
 * class Printer extends DatagramProtocol {
 *   override datagramReceived(data: Buffer): void {
 *     console.log(data.toString()); // ping
 *     received.set();
 *   }
 * }
 * const received = new Event();
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   const [receiver] = await loop.createDatagramEndpoint(() => new Printer(), { local: { host: "127.0.0.1", port: 0 } });
 *   const [sender] = await loop.createDatagramEndpoint(() => new DatagramProtocol(), { local: { host: "127.0.0.1", port: 0 } });
 *   sender.sendTo("ping", receiver.getExtraInfo("sockname"));
 *   await received.wait();
 * });
 * ```
 */
export class DatagramProtocol extends BaseProtocol {
  /** Called once the endpoint is bound. */
  connectionMade(_transport: DatagramTransport): void {}
  /** Called with each datagram. */
  datagramReceived(_data: Buffer, _address: UdpAddress): void {}
  /** Called after a failed send or receive. The endpoint continues. */
  errorReceived(_error: Error): void {}
}

/**
 * The callbacks of a child process.
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
export class SubprocessProtocol extends BaseProtocol {
  /** Called once the process has started. */
  connectionMade(_transport: SubprocessTransport): void {}
  /** Called with the data that the process wrote to its descriptor `fd`. */
  pipeDataReceived(_fd: number, _data: Buffer): void {}
  /** Called when a pipe was closed. 0, 1 and 2 are the descriptors of the process. */
  pipeConnectionLost(_fd: number, _error: Error | null): void {}
  /** Called when the process has ended. Its pipes can still deliver data. */
  processExited(): void {}
}
