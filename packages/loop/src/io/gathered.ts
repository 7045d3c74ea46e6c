/** Small pieces of data that are written together. */
export class Gathered {
  #text = "";
  #pieces: Buffer[] | null = null;
  /** The size in bytes. A piece of text counts with its length. */
  size = 0;

  /** Adds a copy, so the caller may change its bytes afterwards. */
  add(data: string | Uint8Array): void {
    this.size += data.length;
    if (typeof data === "string") {
      this.#text += data;
    } else {
      this.#endText();
      this.#pieces!.push(Buffer.from(data));
    }
  }

  /** Returns all pieces as one. */
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
