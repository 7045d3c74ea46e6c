// The codec of values between processes, for packages of Taskloom that store values beside jobs.
export { encodeError, encodeValue } from "./wire/encode.ts";
export { decodeError, decodeValue } from "./wire/decode.ts";

export type { Json } from "./wire/format.ts";
