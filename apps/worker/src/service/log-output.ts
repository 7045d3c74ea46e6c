import { write, writeSync } from "node:fs";

/** What is kept, in characters, of lines that the output has not taken yet; more than that is lost. */
const keptAtMost = 8 * 1_048_576;
/** What one write takes, in characters; a batch of lines costs what one does. */
const writtenAtOnce = 65_536;
/** How long an output that takes nothing for the moment, as a slow pipe, is left alone; milliseconds. */
const pause = 50;

/**
 * Where a worker's log goes, without waiting for it: lines of JSON on standard output. What cannot be written, as on a
 * full disk, is lost, and the worker goes on: standard error says so once, and the log, as soon as it takes lines again,
 * how many they were.
 *
 * It stands in for pino's own destination, whose last flush tries forever where a write fails with ENOSPC (sonic-boom
 * 4.2.1): a worker with a full disk below its log would hang rather than end.
 */
export class LogOutput {
  readonly #fd: number;
  #lines: string[] = [];
  #length = 0;
  #isWriting = false;
  /** Lines that were lost since some were written. */
  #lost = 0;
  /** Whether what was written last broke off within a line. */
  #isCut = false;
  #onEmpty: (() => void)[] = [];

  constructor(fd = 1) {
    this.#fd = fd;
    process.on("exit", () => this.#writeRest());
  }

  /** Takes a line; pino calls it. */
  write(line: string): void {
    if (this.#length + line.length > keptAtMost) return this.#lose(1, "it takes less than is written");
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#isWriting) return;
    this.#isWriting = true;
    setImmediate(() => this.#writeNext());
  }

  /** Calls back when every line was written or lost; pino calls it too. */
  flush(callback: () => void): void {
    if (this.#isWriting) this.#onEmpty.push(callback);
    else callback();
  }

  #writeNext(): void {
    if (this.#lines.length > 0) {
      const lines = this.#take();
      return this.#write(this.#batch(lines), lines.length);
    }
    this.#isWriting = false;
    for (const tell of this.#onEmpty.splice(0)) tell();
  }

  #take(): string[] {
    let count = 0;
    let length = 0;
    while (count < this.#lines.length && length < writtenAtOnce) length += this.#lines[count++]!.length;
    this.#length -= length;
    return this.#lines.splice(0, count);
  }

  /** Lines as they are written: after what was lost, with a line that says so. */
  #batch(lines: readonly string[]): Buffer {
    const report =
      this.#lost === 0
        ? ""
        : `{"level":40,"time":${Date.now()},"pid":${process.pid},"event":"log","lost":${this.#lost},"msg":"lines before this one could not be written"}\n`;
    return Buffer.from(`${this.#isCut ? "\n" : ""}${report}${lines.join("")}`);
  }

  #write(bytes: Buffer, lines: number): void {
    write(this.#fd, bytes, (error, written) => {
      if (error?.code === "EAGAIN") return setTimeout(() => this.#write(bytes, lines), pause);
      if (error !== null) {
        this.#lose(lines, error.message);
        return this.#writeNext();
      }
      if (written > 0) this.#isCut = bytes[written - 1] !== 0x0a;
      if (written < bytes.length) return this.#write(bytes.subarray(written), lines);
      this.#lost = 0;
      return this.#writeNext();
    });
  }

  #lose(lines: number, reason: string): void {
    if (this.#lost === 0) {
      const text = `taskloom: the log cannot be written: ${reason}. The worker goes on without it.\n`;
      try {
        writeSync(2, text);
      } catch {
        // Standard error may lie on the same full disk.
      }
    }
    this.#lost += lines;
  }

  /** At the process's end nothing is waited for any more. */
  #writeRest(): void {
    if (this.#lines.length === 0) return;
    try {
      writeSync(this.#fd, this.#batch(this.#lines.splice(0)));
    } catch {
      // What was lost before has been told of.
    }
  }
}
