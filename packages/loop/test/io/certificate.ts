import { readFileSync } from "node:fs";
import { join } from "node:path";

const read = (name: string): string => readFileSync(join(import.meta.dirname, "fixtures", name), "utf8");

/** A self-signed certificate for localhost, valid for a hundred years. Its key is not secret. */
export const certificate: string = read("localhost.crt");
export const key: string = read("localhost.key");
export const certificatePath: string = join(import.meta.dirname, "fixtures", "localhost.crt");
