import { hash } from "node:crypto";

/** Random numbers of a run: the same run gets the same ones at each replay. */
export class Seeded {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  /** @param seed any text, such as the run's id. */
  constructor(seed: string) {
    const bits = hash("sha1", seed, "hex");
    this.#a = Number.parseInt(bits.slice(0, 8), 16) | 0;
    this.#b = Number.parseInt(bits.slice(8, 16), 16) | 0;
    this.#c = Number.parseInt(bits.slice(16, 24), 16) | 0;
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** The generator is sfc32, of PractRand. */
  #next(): number {
    const t = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** Returns a number from 0 up to and without 1, with 53 random bits. */
  random(): number {
    return ((this.#next() >>> 5) * 67_108_864 + (this.#next() >>> 6)) / 9_007_199_254_740_992;
  }

  /** Returns a UUID of version 4. */
  uuid(): `${string}-${string}-${string}-${string}-${string}` {
    const words = [this.#next(), this.#next(), this.#next(), this.#next()];
    words[1] = (words[1]! & 0xffff_0fff) | 0x4000;
    words[2] = (words[2]! & 0x3fff_ffff) | 0x8000_0000;
    const text = words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
  }
}
