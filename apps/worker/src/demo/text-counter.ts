const SPACE = new Uint8Array(256);
const GRAPHIC = new Uint8Array(256);
for (const byte of [9, 10, 11, 12, 13, 32]) SPACE[byte] = 1;
for (let byte = 33; byte < 127; byte++) GRAPHIC[byte] = 1;

/**
 * Counts bytes, lines and words as GNU `wc` does in a UTF-8 locale. A line ends with a newline. A word is a run of
 * printable characters between white space. Other bytes (control characters, invalid UTF-8) do not count.
 */
export class TextCounter {
  bytes = 0;
  lines = 0;
  words = 0;
  #inWord = false;
  /** The decoded part of a character that continues in the next chunk, and the number of its missing bytes. */
  #character = 0;
  #missing = 0;
  /** The smallest character of so many bytes. A smaller one is an overlong form, which is not UTF-8. */
  #least = 0;

  add(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index]!;
      if (byte < 0x80) {
        this.#missing = 0;
        if (GRAPHIC[byte] === 1) this.#graphic();
        else if (SPACE[byte] === 1) {
          this.#inWord = false;
          if (byte === 10) this.lines++;
        }
      } else {
        this.#continue(byte);
      }
    }
  }

  #graphic(): void {
    if (this.#inWord) return;
    this.#inWord = true;
    this.words++;
  }

  #continue(byte: number): void {
    if (byte >= 0xc2 && byte <= 0xf4) {
      this.#missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
      this.#character = byte & (0x3f >> this.#missing);
      this.#least = this.#missing === 1 ? 0x80 : this.#missing === 2 ? 0x800 : 0x1_0000;
      return;
    }
    if (byte >= 0xc0 || this.#missing === 0) {
      this.#missing = 0;
      return;
    }
    this.#character = (this.#character << 6) | (byte & 0x3f);
    if (--this.#missing > 0) return;
    const character = this.#character;
    if (character < this.#least || character > 0x10_ffff || (character >= 0xd800 && character < 0xe000))
      return;
    if (isWideSpace(character)) this.#inWord = false;
    else if (character >= 0xa0) this.#graphic();
  }
}

/** Returns whether a character is white space beyond ASCII; like GNU `wc`, non-breaking spaces count. */
function isWideSpace(character: number): boolean {
  return (
    character === 0xa0 ||
    character === 0x1680 ||
    (character >= 0x2000 && character <= 0x200a) ||
    character === 0x2028 ||
    character === 0x2029 ||
    character === 0x202f ||
    character === 0x205f ||
    character === 0x2060 ||
    character === 0x3000
  );
}
