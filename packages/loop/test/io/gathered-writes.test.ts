/**
 * Answers to requests that arrived together are sent together; all other behaviour of a write is unchanged.
 */
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { createTask, openConnection, run, sleep, startServer } from "@taskloom/loop";
import type { StreamReader, StreamWriter } from "@taskloom/loop";
import { local, portOf } from "./peer.ts";

/**
 * Runs `serve` on a connection whose reader holds unread `requests`, and returns the data that the client
 * received.
 */
async function answers(
  requests: string,
  serve: (reader: StreamReader, writer: StreamWriter, calls: unknown[]) => Promise<void>,
): Promise<{ received: Buffer; calls: unknown[] }> {
  const calls: unknown[] = [];
  const received = await run(async () => {
    const server = await startServer(async (reader, writer) => {
      const socket = writer.getExtraInfo("socket") as Socket;
      const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
      socket.write = (...args: unknown[]) => {
        calls.push(args[0]);
        return write(...args);
      };
      reader.feedData(Buffer.from(requests));
      await serve(reader, writer, calls);
      writer.close();
    }, local);
    const { reader, writer } = await openConnection({ ...local, port: portOf(server) });
    const all = await reader.read();
    writer.close();
    server.close();
    await server.waitClosed();
    return all;
  });
  return { received, calls };
}

const lines = (count: number): string => Array.from({ length: count }, (_, i) => `${i}\n`).join("");

describe("pipelined requests", () => {
  test("are answered by one call of the system, in order", async () => {
    const { received, calls } = await answers(lines(16), async (reader, writer) => {
      for (let i = 0; i < 16; i++) {
        writer.write((await reader.readLine()).toString());
        await writer.drain();
      }
    });
    expect(received.toString()).toBe(lines(16));
    expect(calls).toEqual([lines(16)]);
  });

  test("in both spellings", async () => {
    const { received, calls } = await answers(lines(16), async (reader, writer) => {
      await createTask(function* () {
        for (let i = 0; i < 16; i++) {
          writer.write(yield* reader.readLine());
          yield* writer.drain();
        }
      });
    });
    expect(received.toString()).toBe(lines(16));
    expect(calls.length).toBe(1);
  });

  test("an answer does not wait for the next request", async () => {
    const { received, calls } = await answers("one\nhalf", async (reader, writer, written) => {
      writer.write((await reader.readLine()).toString());
      await sleep(0);
      await sleep(0);
      expect(written).toEqual(["one\n"]);
    });
    expect(received.toString()).toBe("one\n");
    expect(calls).toEqual(["one\n"]);
  });

  test("text and bytes keep their order, and bytes may be used again after write()", async () => {
    const { received, calls } = await answers(lines(4), async (_reader, writer) => {
      const bytes = Buffer.from("...");
      for (const text of ["ä", "b", "c"]) {
        bytes.fill(text.charCodeAt(0) & 0x7f);
        writer.write(text);
        writer.write(bytes);
      }
    });
    expect(received.toString()).toBe("ädddbbbbcccc");
    expect(calls.length).toBe(1);
  });

  test.each([
    ["close", (writer: StreamWriter) => writer.close()],
    ["writeEof", (writer: StreamWriter) => writer.writeEof()],
    ["abort", (writer: StreamWriter) => writer.transport.abort()],
  ])("%s sends what was gathered", async (_, end) => {
    const { received } = await answers(lines(4), async (_reader, writer) => {
      writer.write("first ");
      writer.write("second");
      end(writer);
    });
    expect(received.toString()).toBe("first second");
  });

  test("what waits to be sent counts for the buffer's size, and flow control goes by it", async () => {
    const { received } = await answers(lines(4), async (_reader, writer) => {
      const { transport } = writer;
      writer.write("123");
      writer.write(Buffer.from("45"));
      expect(transport.getWriteBufferSize()).toBe(5);
      transport.setWriteBufferLimits({ high: 0 });
      writer.write("6");
      transport.setWriteBufferLimits();
      writer.write("x".repeat(20_000)); // more than the limit of gathered data
      writer.write("7");
      await writer.drain();
    });
    expect(received.toString()).toBe(`123456${"x".repeat(20_000)}7`);
  });
});
