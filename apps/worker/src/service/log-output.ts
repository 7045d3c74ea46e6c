import { write, writeSync } from "node:fs";

/** The characters of waiting lines; further lines are lost. */
const MAX_WAITING = 8 * 1_048_576;
/** The characters of one write; a batch of lines costs as much as one line. */
const WRITTEN_AT_ONCE = 65_536;
/** The pause after a write that an output such as a slow pipe has not taken. */
const PAUSE_MS = 50;

/**
 * Writes the log of a worker to standard output, as lines of JSON, and never blocks the worker. Lines that cannot be
 * written, as on a full disk, are lost. Standard error reports the first loss, and the log itself reports the number of
 * lost lines as soon as it takes lines again.
 *
 * The destination of pino is no alternative: if a write fails with ENOSPC, its last flush retries forever (sonic-boom
 * 4.2.1), so a worker with a full disk below its log would never end.
 */
export class LogOutput {
  readonly #fd: number;
  #lines: string[] = [];
  #length = 0;
  #isWriting = false;
  /** The lines that were lost after the last written line. */
  #lost = 0;
  /** True if the last write ended within a line. */
  #isCut = false;
  #onEmpty: (() => void)[] = [];

  constructor(fd = 1) {
    this.#fd = fd;
    process.on("exit", () => this.#writeRest());
  }

  /** Takes a line; pino calls this method. */
  write(line: string): void {
    if (this.#length + line.length > MAX_WAITING) return this.#lose(1, "the output is too slow");
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#isWriting) return;
    this.#isWriting = true;
    setImmediate(() => this.#writeNext());
  }

  /** Calls back when every line is written or lost; pino calls this method, too. */
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
    for (const notify of this.#onEmpty.splice(0)) notify();
  }

  #take(): string[] {
    let count = 0;
    let length = 0;
    while (count < this.#lines.length && length < WRITTEN_AT_ONCE) length += this.#lines[count++]!.length;
    this.#length -= length;
    return this.#lines.splice(0, count);
  }

  /** Returns the bytes of lines. After a loss, a line about the loss comes first. */
  #batch(lines: readonly string[]): Buffer {
    const report =
      this.#lost === 0
        ? ""
        : `{"level":40,"time":${Date.now()},"pid":${process.pid},"event":"log","lost":${this.#lost},"msg":"lines before this one could not be written"}\n`;
    return Buffer.from(`${this.#isCut ? "\n" : ""}${report}${lines.join("")}`);
  }

  #write(bytes: Buffer, lines: number): void {
    write(this.#fd, bytes, (error, written) => {
      if (error?.code === "EAGAIN") return setTimeout(() => this.#write(bytes, lines), PAUSE_MS);
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
      const text = `taskloom: The log cannot be written: ${reason}; the worker goes on without it\n`;
      try {
        writeSync(2, text);
      } catch {
        // Standard error can be on the same full disk.
      }
    }
    this.#lost += lines;
  }

  /** Writes the last lines at the end of the process, which waits for no callback. */
  #writeRest(): void {
    if (this.#lines.length === 0) return;
    try {
      writeSync(this.#fd, this.#batch(this.#lines.splice(0)));
    } catch {
      // Standard error has reported the loss.
    }
  }
}
