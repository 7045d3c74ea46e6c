// One echo server in a process of its own: `node echo-server.ts KIND`. It prints its port, serves until its
// standard input ends, and then prints its memory.
import { createServer } from "node:net";
import { redisServers } from "./redis-server.ts";
import { getRunningLoop, Protocol, run, startServer } from "@taskloom/loop";
import type { Transport } from "@taskloom/loop";

class Echo extends Protocol {
  #transport: Transport | undefined;
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Buffer): void {
    this.#transport?.write(data);
  }
}

function ended(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once("end", resolve);
    process.stdin.resume();
  });
}

const kinds: Record<string, () => Promise<void>> = {
  async net() {
    const server = createServer({ noDelay: true }, (socket) => {
      socket.on("data", (data) => socket.write(data));
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    console.log((server.address() as { port: number }).port);
    await ended();
    process.exit();
  },
  async protocol() {
    await run(async () => {
      const server = await getRunningLoop().createServer(() => new Echo(), { host: "127.0.0.1" });
      console.log(server.sockets()[0]?.port);
      await ended();
    });
  },
  async streams() {
    await run(async () => {
      const server = await startServer(
        async (reader, writer) => {
          for (;;) {
            const data = await reader.read(65_536);
            if (data.length === 0) break;
            writer.write(data);
            await writer.drain();
          }
          writer.close();
        },
        { host: "127.0.0.1" },
      );
      console.log(server.sockets()[0]?.port);
      await ended();
    });
  },
  async "streams (generator)"() {
    await run(async () => {
      const server = await startServer(
        function* (reader, writer) {
          for (;;) {
            const data = yield* reader.read(65_536);
            if (data.length === 0) break;
            writer.write(data);
            yield* writer.drain();
          }
          writer.close();
        },
        { host: "127.0.0.1" },
      );
      console.log(server.sockets()[0]?.port);
      await ended();
    });
  },
};

const kind = process.argv[2] ?? "";
const redis = redisServers[kind];
const serve = redis === undefined ? kinds[kind] : () => redis(ended());
if (serve === undefined) throw new Error(`Expected one of ${Object.keys(kinds).join(", ")}, got ${kind}`);
process.on("SIGUSR2", () => {
  globalThis.gc?.();
  console.log(JSON.stringify(process.memoryUsage()));
});
await serve();
process.exit();
