/** Small pieces of data that are to be written together. */
export class Gathered {
  #text = "";
  #pieces: Buffer[] | null = null;
  /** In bytes, where a piece of text counts by its length. */
  size = 0;

  /** Adds a copy: the caller may change its bytes afterwards. */
  add(data: string | Uint8Array): void {
    this.size += data.length;
    if (typeof data === "string") {
      this.#text += data;
    } else {
      this.#endText();
      this.#pieces!.push(Buffer.from(data));
    }
  }

  /** Everything in one piece. */
  take(): string | Buffer {
    if (this.#pieces === null) return this.#text;
    this.#endText();
    return Buffer.concat(this.#pieces);
  }

  #endText(): void {
    this.#pieces ??= [];
    if (this.#text === "") return;
    this.#pieces.push(Buffer.from(this.#text));
    this.#text = "";
  }
}
