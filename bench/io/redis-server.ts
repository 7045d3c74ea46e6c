// A server of Redis' protocol with one command, SET. One version has a parser on node:net, as fast as
// possible; the other uses streams with `readLine` and `readExactly`, in both spellings.
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { run, startServer } from "@taskloom/loop";

const store = new Map<string, Buffer>();

function command(parts: readonly Buffer[]): string {
  if (parts[0]?.toString("latin1") !== "SET") return "-ERR unknown command\r\n";
  store.set(parts[1]!.toString("latin1"), parts[2]!);
  return "+OK\r\n";
}

/** Returns the number in a line such as `$16\r\n`. */
const count = (line: Buffer): number => Number(line.toString("latin1", 1, line.length - 2));

/** Parses the whole commands in `data`, and returns the answers and the rest of the data. */
function answer(data: Buffer): { answers: string; rest: Buffer } {
  let answers = "";
  let start = 0;
  for (;;) {
    let at = start;
    let end = data.indexOf(10, at);
    if (end === -1) break;
    const left = Number(data.toString("latin1", at + 1, end - 1));
    at = end + 1;
    const parts: Buffer[] = [];
    while (parts.length < left) {
      end = data.indexOf(10, at);
      if (end === -1) break;
      const size = Number(data.toString("latin1", at + 1, end - 1));
      at = end + 1;
      if (at + size + 2 > data.length) break;
      parts.push(data.subarray(at, at + size));
      at += size + 2;
    }
    if (parts.length < left) break;
    answers += command(parts);
    start = at;
  }
  return { answers, rest: data.subarray(start) };
}

/**
 * The minimal reader for `await`: native promises, which are already settled if the bytes are there. The
 * server with this reader shows the part of a server's time that V8 needs with any library.
 */
class PromiseReader {
  #data: Buffer = Buffer.alloc(0);
  #at = 0;
  #isEnded = false;
  #wake: (() => void) | undefined;
  readonly #beforeWait: () => void;

  constructor(socket: Socket, beforeWait: () => void) {
    this.#beforeWait = beforeWait;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const rest = this.#data.subarray(this.#at);
      this.#data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      this.#at = 0;
      this.#wake?.();
    });
    socket.on("close", () => {
      this.#isEnded = true;
      this.#wake?.();
    });
  }

  readLine(): Promise<Buffer> {
    return this.#read(() => this.#data.indexOf(10, this.#at) + 1);
  }

  readExactly(n: number): Promise<Buffer> {
    return this.#read(() => (this.#data.length - this.#at >= n ? this.#at + n : 0));
  }

  #read(end: () => number): Promise<Buffer> {
    const at = end();
    return at > 0 ? Promise.resolve(this.#take(at)) : this.#wait(end);
  }

  async #wait(end: () => number): Promise<Buffer> {
    for (let at = end(); ; at = end()) {
      if (at > 0) return this.#take(at);
      if (this.#isEnded) return Buffer.alloc(0);
      this.#beforeWait();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #take(end: number): Buffer {
    const taken = this.#data.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

/** Listens on a free port, prints the port, and ends the process in time. */
async function listen(server: Server, ended: Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  console.log((server.address() as AddressInfo).port);
  await ended;
  process.exit();
}

export const redisServers: Record<string, (ended: Promise<void>) => Promise<void>> = {
  async "requests, net"(ended) {
    const server = createServer({ noDelay: true }, (socket) => {
      let unread: Buffer = Buffer.alloc(0);
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        const { answers, rest } = answer(unread.length === 0 ? chunk : Buffer.concat([unread, chunk]));
        unread = rest;
        if (answers !== "") socket.write(answers);
      });
    });
    await listen(server, ended);
  },

  async "requests, promises"(ended) {
    const serve = async (socket: Socket): Promise<void> => {
      let answers = "";
      const reader = new PromiseReader(socket, () => {
        if (answers !== "") socket.write(answers);
        answers = "";
      });
      for (;;) {
        const head = await reader.readLine();
        if (head.length === 0) break;
        const parts: Buffer[] = [];
        for (let left = count(head); left > 0; left--) {
          const size = count(await reader.readLine());
          parts.push((await reader.readExactly(size + 2)).subarray(0, size));
        }
        answers += command(parts);
      }
    };
    const server = createServer({ noDelay: true }, (socket) => void serve(socket));
    await listen(server, ended);
  },

  async "requests, streams"(ended) {
    await run(async () => {
      const server = await startServer(
        async (reader, writer) => {
          for (;;) {
            const head = await reader.readLine();
            if (head.length === 0) break;
            const parts: Buffer[] = [];
            for (let left = count(head); left > 0; left--) {
              const size = count(await reader.readLine());
              parts.push((await reader.readExactly(size + 2)).subarray(0, size));
            }
            writer.write(command(parts));
            await writer.drain();
          }
          writer.close();
        },
        { host: "127.0.0.1" },
      );
      console.log(server.sockets()[0]?.port);
      await ended;
    });
  },

  async "requests, streams (generator)"(ended) {
    await run(async () => {
      const server = await startServer(
        function* (reader, writer) {
          for (;;) {
            const head = yield* reader.readLine();
            if (head.length === 0) break;
            const parts: Buffer[] = [];
            for (let left = count(head); left > 0; left--) {
              const size = count(yield* reader.readLine());
              parts.push((yield* reader.readExactly(size + 2)).subarray(0, size));
            }
            writer.write(command(parts));
            yield* writer.drain();
          }
          writer.close();
        },
        { host: "127.0.0.1" },
      );
      console.log(server.sockets()[0]?.port);
      await ended;
    });
  },
};
