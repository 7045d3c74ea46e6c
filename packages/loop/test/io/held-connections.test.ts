import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { allTasks, getRunningLoop, Protocol, run, startServer } from "@taskloom/loop";
import type { Server, Transport } from "@taskloom/loop";
import { clientsOf, local, openResources, openSockets, Peer, portOf, untilAlone } from "./peer.ts";

const COUNT = 10_000;

/** The maximal number of descriptors of a process, if a shell reports it. */
function descriptorLimit(): number {
  try {
    const limit = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
    return limit === "unlimited" ? Infinity : Number(limit);
  } catch {
    return Infinity;
  }
}

class Echo extends Protocol {
  #transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Buffer): void {
    this.#transport.write(data);
  }
}

const servers: [name: string, tasks: number, start: () => PromiseLike<Server>][] = [
  [
    "streams, async",
    1,
    () =>
      startServer(
        async (reader, writer) => {
          for (let data; (data = await reader.read(1000)).length > 0;) writer.write(data);
          writer.close();
        },
        { ...local, backlog: 1000 },
      ),
  ],
  [
    "streams, generators",
    1,
    () =>
      startServer(
        function* (reader, writer) {
          for (let data; (data = yield* reader.read(1000)).length > 0;) writer.write(data);
          writer.close();
        },
        { ...local, backlog: 1000 },
      ),
  ],
  ["protocols", 0, () => getRunningLoop().createServer(() => new Echo(), { ...local, backlog: 1000 })],
];

describe.each(servers)("%s", (_name, tasksEach, start) => {
  test("10,000 connections are held, served, and let go without a trace", async ({ skip }) => {
    const limit = descriptorLimit();
    skip(limit < COUNT + 200, `a process may have ${limit} descriptors here (ulimit -n)`);
    let refusal = "";
    await run(async () => {
      const server = await start();
      const peer = await Peer.start();
      const answer = await peer.does("open", portOf(server), COUNT);
      if (answer.startsWith("cannot")) refusal = answer;
      else {
        expect(await peer.does("echo", "hello")).toBe(`echoed ${COUNT}`);
        expect(clientsOf(server)).toBe(COUNT);
        expect(allTasks().size).toBe(1 + tasksEach * COUNT);
        expect(await peer.does("echo", "still_there?")).toBe(`echoed ${COUNT}`);
      }
      // All connections end at once, with a reset: 10,000 closed ends would occupy as many ports for a
      // minute.
      getRunningLoop().setExceptionHandler(() => {});
      await peer.does("reset");
      server.close();
      await server.waitClosed();
      await peer[Symbol.asyncDispose]();
      await untilAlone();
      expect([clientsOf(server), openResources(), openSockets()]).toEqual([0, 0, 0]);
    });
    skip(refusal !== "", `the peer could not open ${COUNT} connections here: ${refusal}`);
  });
});
