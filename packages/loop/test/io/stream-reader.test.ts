import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTask, IncompleteReadError, LimitOverrunError, run, sleep, StreamReader } from "@taskloom/loop";
import { ByteBuffer } from "../../src/io/byte-buffer.ts";

const reading = (work: () => Promise<void>): Promise<void> => run(work);

function readerOf(limit: number | undefined, ...chunks: string[]): StreamReader {
  const reader = new StreamReader({ limit });
  for (const chunk of chunks) reader.feedData(Buffer.from(chunk));
  return reader;
}

describe("a byte buffer", () => {
  test("gives back what went in, whatever the pieces, and leaves what was taken alone", () => {
    const step = fc.oneof(
      fc.record({ append: fc.uint8Array({ maxLength: 5000 }) }),
      fc.record({ take: fc.nat(6000) }),
      fc.record({ find: fc.uint8Array({ minLength: 1, maxLength: 2 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const buffer = new ByteBuffer();
        let model = Buffer.alloc(0);
        const taken: { bytes: Buffer; copy: Buffer }[] = [];
        for (const one of steps) {
          if ("append" in one) {
            if (one.append.length > 0) buffer.append(Buffer.from(one.append));
            model = Buffer.concat([model, one.append]);
          } else if ("take" in one) {
            const bytes = buffer.take(one.take);
            expect(bytes.equals(model.subarray(0, one.take))).toBe(true);
            taken.push({ bytes, copy: Buffer.from(bytes) });
            model = model.subarray(one.take);
          } else {
            expect(buffer.indexOf(Buffer.from(one.find), 0)).toBe(model.indexOf(one.find));
          }
          expect(buffer.size).toBe(model.length);
        }
        for (const { bytes, copy } of taken) expect(bytes.equals(copy)).toBe(true);
      }),
    );
  });
});

describe("readLine", () => {
  test("lines in pieces, a last one without its end, then nothing", () =>
    reading(async () => {
      const reader = readerOf(undefined, "on", "e\ntw");
      expect((await reader.readLine()).toString()).toBe("one\n");
      const next = createTask(reader.readLine());
      await sleep(0);
      reader.feedData(Buffer.from("o\nrest"));
      expect((await next).toString()).toBe("two\n");
      reader.feedEof();
      expect((await reader.readLine()).toString()).toBe("rest");
      expect((await reader.readLine()).toString()).toBe("");
    }));

  // The cases of CPython's test_streams.
  test("a line over the limit goes whole, and the next one is read", () =>
    reading(async () => {
      const reader = readerOf(3, "li", "ne1\nline2\n");
      await expect(reader.readLine()).rejects.toBeInstanceOf(LimitOverrunError);
      await expect(reader.readLine()).rejects.toBeInstanceOf(LimitOverrunError);
      reader.feedEof();
      expect((await reader.readLine()).toString()).toBe("");
    }));

  test("a line over the limit without its end: what is there goes", () =>
    reading(async () => {
      const reader = readerOf(7);
      const line = createTask(reader.readLine());
      await sleep(0);
      reader.feedData(Buffer.from("chunk1"));
      reader.feedData(Buffer.from("chunk2"));
      await expect(line).rejects.toMatchObject({ code: "LIMIT_OVERRUN" });
      reader.feedData(Buffer.from("c3\n"));
      expect((await reader.readLine()).toString()).toBe("c3\n");
    }));
});

describe("readUntil", () => {
  test("the separator that ends first wins", () =>
    reading(async () => {
      const reader = readerOf(undefined, "one--two==three");
      expect((await reader.readUntil(["==", "--"])).toString()).toBe("one--");
      expect((await reader.readUntil(["==", "--"])).toString()).toBe("two==");
    }));

  test("a separator across pieces", () =>
    reading(async () => {
      const reader = readerOf(undefined, "some data\r");
      const read = createTask(reader.readUntil("\r\n"));
      await sleep(0);
      reader.feedData(Buffer.from("\nmore"));
      expect((await read).toString()).toBe("some data\r\n");
    }));

  test("over the limit the bytes stay, and the error says how many can be read", () =>
    reading(async () => {
      const found = readerOf(3, "some dataA");
      const error = await found.readUntil("A").catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "LIMIT_OVERRUN", consumed: 9 });
      expect((await found.readExactly(9)).toString()).toBe("some data");
      const missing = readerOf(4, "some data");
      await expect(missing.readUntil("AAA")).rejects.toMatchObject({ consumed: 7 });
      expect((await missing.readExactly(7)).toString()).toBe("some da");
    }));

  test("the end before the separator", () =>
    reading(async () => {
      const reader = readerOf(undefined, "some data");
      reader.feedEof();
      const error = await reader.readUntil().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(IncompleteReadError);
      expect((error as IncompleteReadError).partial.toString()).toBe("some data");
      expect((error as IncompleteReadError).expected).toBeUndefined();
    }));

  test("no separator at all is refused", () =>
    reading(async () => {
      expect(() => readerOf(undefined).readUntil("")).toThrow(/separator/);
      expect(() => readerOf(undefined).readUntil([])).toThrow(/separator/);
    }));
});

describe("readExactly and read", () => {
  test("exactly, more than the limit, and not enough", () =>
    reading(async () => {
      const reader = readerOf(4, "abcdefghij");
      expect((await reader.readExactly(0)).length).toBe(0);
      expect((await reader.readExactly(7)).toString()).toBe("abcdefg");
      reader.feedEof();
      const error = await reader.readExactly(9).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "INCOMPLETE_READ", expected: 9 });
      expect((error as IncompleteReadError).partial.toString()).toBe("hij");
    }));

  test("read(n) gives what there is; read() everything; bad sizes are refused", () =>
    reading(async () => {
      const reader = readerOf(undefined, "abc");
      expect((await reader.read(0)).length).toBe(0);
      expect((await reader.read(2)).toString()).toBe("ab");
      expect((await reader.read(100)).toString()).toBe("c");
      const all = createTask(reader.read());
      await sleep(0);
      reader.feedData(Buffer.from("de"));
      await sleep(0);
      reader.feedData(Buffer.from("f"));
      reader.feedEof();
      expect((await all).toString()).toBe("def");
      expect(() => reader.read(1.5)).toThrow(/whole number/);
      expect(() => reader.readExactly(-1)).toThrow(/number of bytes from 0/);
    }));

  test("an error set on the reader fails the read under way and every later one", () =>
    reading(async () => {
      const reader = readerOf(undefined);
      const read = createTask(reader.read(1));
      await sleep(0);
      reader.setException(new RangeError("broken"));
      await expect(read).rejects.toThrow("broken");
      await expect(reader.readLine()).rejects.toThrow("broken");
      expect(reader.exception()).toBeInstanceOf(RangeError);
    }));
});

test("a reader with twice its limit holds its source up, and lets it go at the limit", () =>
  reading(async () => {
    const calls: string[] = [];
    const reader = new StreamReader({ limit: 4 });
    reader.setTransport({
      pauseReading: () => calls.push("pause"),
      resumeReading: () => calls.push("resume"),
    });
    reader.feedData(Buffer.from("12345678"));
    expect(calls).toEqual([]);
    reader.feedData(Buffer.from("9"));
    expect(calls).toEqual(["pause"]);
    await reader.readExactly(4);
    expect(calls).toEqual(["pause"]);
    await reader.readExactly(1);
    expect(calls).toEqual(["pause", "resume"]);
    // The read needs more than the limit, and must not wait forever.
    reader.feedData(Buffer.from("56789"));
    const much = createTask(reader.readExactly(20));
    await sleep(0);
    reader.feedData(Buffer.alloc(11));
    expect((await much).length).toBe(20);
  }));

test("a byte at a time, a line near the limit costs no more than its length", () =>
  reading(async () => {
    const reader = new StreamReader({ limit: 1 << 20 });
    const line = createTask(reader.readLine());
    await sleep(0);
    const byte = Buffer.from("x");
    for (let i = 0; i < 1 << 19; i++) reader.feedData(byte);
    reader.feedData(Buffer.from("\n"));
    expect((await line).length).toBe((1 << 19) + 1);
  }));
