import { readFileSync } from "node:fs";
import { join } from "node:path";

const read = (name: string): string => readFileSync(join(import.meta.dirname, "fixtures", name), "utf8");

/** A certificate for localhost that signs itself, valid for a hundred years. Its key is no secret. */
export const certificate: string = read("localhost.crt");
export const key: string = read("localhost.key");
export const certificatePath: string = join(import.meta.dirname, "fixtures", "localhost.crt");
