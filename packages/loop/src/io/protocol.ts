import type { DatagramTransport } from "./datagram-transport.ts";
import type { SubprocessTransport } from "./subprocess-transport.ts";
import type { Transport } from "./transport.ts";
import type { UdpAddress } from "./datagram-transport.ts";

/** What every protocol is told: flow control and the end. */
export abstract class BaseProtocol {
  /** The transport's write buffer went above its high mark: write no more until `resumeWriting`. */
  pauseWriting(): void {}
  /** The write buffer is at or below its low mark again. */
  resumeWriting(): void {}
  /** The last call: the connection is closed (null), or was lost to an error. */
  connectionLost(_error: Error | null): void {}
}

/**
 * The callbacks of a stream connection. One instance serves one connection: `connectionMade`, then
 * `dataReceived` any number of times and `eofReceived` at most once, then `connectionLost`.
 *
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
 *
 * The calls and their order are those of CPython's `asyncio.Protocol`.
 */
export class Protocol extends BaseProtocol {
  /** The connection is there. */
  connectionMade(_transport: Transport): void {}
  /** Data came. Its boundaries mean nothing. */
  dataReceived(_data: Buffer): void {}
  /** The other end will send no more. Return true to keep this end open for writing; else it is closed. */
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
  /** The endpoint is bound. */
  connectionMade(_transport: DatagramTransport): void {}
  /** A datagram came. */
  datagramReceived(_data: Buffer, _address: UdpAddress): void {}
  /** An earlier send or a receive failed; the endpoint goes on. */
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
  /** The process has started. */
  connectionMade(_transport: SubprocessTransport): void {}
  /** The process wrote `data` to its descriptor `fd`. */
  pipeDataReceived(_fd: number, _data: Buffer): void {}
  /** A pipe was closed: 0, 1 or 2 as the process sees it. */
  pipeConnectionLost(_fd: number, _error: Error | null): void {}
  /** The process has ended. Data may still come from its pipes. */
  processExited(): void {}
}
