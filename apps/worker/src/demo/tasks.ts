import { createHash } from "node:crypto";
import { closeSync, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";
import { reportProgress } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { TextCounter } from "./text-counter.ts";

/** The result of the loop lane for a file. */
export interface TextCounts {
  readonly bytes: number;
  readonly lines: number;
  readonly words: number;
}

/** The result of the thread lane for a file. */
export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
  /** The bytes after compression. */
  readonly compressed: number;
}

/** Counts lines and words cooperatively: between two chunks of the file the loop is free. */
export const countText: TaskDefinition<[path: string], Promise<TextCounts>> = defineTask(
  { name: "file.count", module: import.meta.url },
  async (path: string): Promise<TextCounts> => {
    const counter = new TextCounter();
    for await (const chunk of createReadStream(path)) counter.add(chunk as Buffer);
    return { bytes: counter.bytes, lines: counter.lines, words: counter.words };
  },
);

/** A file is compressed in slices of so many bytes, which is the memory that the largest file takes. */
const SLICE = 8 * 1024 * 1024;
/** The bytes by which a window of Brotli is smaller than its power of two (RFC 7932, section 9.1). */
const WINDOW_GAP = 16;

/** Computes the SHA-256 and the compressed size of a file. The work blocks, so it runs on a thread. */
export const digestFile: TaskDefinition<[path: string], Digest> = defineTask(
  { name: "file.digest", module: import.meta.url, runsOn: "thread" },
  (path: string): Digest => {
    const file = openSync(path, "r");
    try {
      const total = fstatSync(file).size;
      const hash = createHash("sha256");
      const buffer = Buffer.allocUnsafe(Math.min(SLICE, total + 1));
      let bytes = 0;
      let compressed = 0;
      while (true) {
        const filled = fill(file, buffer);
        if (filled === 0) break;
        const part = buffer.subarray(0, filled);
        hash.update(part);
        compressed += brotliCompressSync(part, { params: compressionOf(part.length) }).length;
        bytes += filled;
        if (total > SLICE) reportProgress({ bytes, total });
      }
      return { bytes, sha256: hash.digest("hex"), compressed };
    } finally {
      closeSync(file);
    }
  },
);

/**
 * Returns the parameters of the compression of so many bytes. The window is as large as the text: for the default window
 * of 4 MB the encoder prepares tables of many megabytes, which takes ten times as long as the compression of a small file.
 */
function compressionOf(bytes: number): Record<number, number> {
  const bits = Math.ceil(Math.log2(bytes + WINDOW_GAP));
  return {
    [constants.BROTLI_PARAM_QUALITY]: 9,
    [constants.BROTLI_PARAM_LGWIN]: Math.min(
      Math.max(bits, constants.BROTLI_MIN_WINDOW_BITS),
      constants.BROTLI_DEFAULT_WINDOW,
    ),
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes,
  };
}

/** Reads until the buffer is full or the file ends: one read can return fewer bytes. Returns the number of bytes. */
function fill(file: number, buffer: Buffer): number {
  let filled = 0;
  while (filled < buffer.length) {
    const read = readSync(file, buffer, filled, buffer.length - filled, null);
    if (read === 0) break;
    filled += read;
  }
  return filled;
}
