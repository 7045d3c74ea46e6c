/**
 * The immediate delivery of a thread's console output. Node hands the output to the main thread piece by piece, each
 * after an acknowledgement that the thread reads only when it is idle. Here every write is posted at once, in order
 * with everything else that the call sends.
 */
type Write = (fd: 1 | 2, data: string | Uint8Array) => void;

export function forwardConsole(write: Write): void {
  for (const [fd, stream] of [
    [1, process.stdout],
    [2, process.stderr],
  ] as const) {
    stream.write = (
      chunk: string | Uint8Array,
      encoding?: BufferEncoding | ((error?: Error | null) => void),
      done?: (error?: Error | null) => void,
    ): boolean => {
      // Node refuses such a chunk with the same error. The caller's side would crash on it.
      if (typeof chunk !== "string" && !ArrayBuffer.isView(chunk))
        throw Object.assign(
          new TypeError(
            `The "chunk" argument must be of type string or an instance of Buffer, TypedArray, or DataView. ` +
              `Received ${chunk === null ? "null" : typeof chunk}`,
          ),
          { code: "ERR_INVALID_ARG_TYPE" },
        );
      const data =
        typeof chunk === "string" &&
        typeof encoding === "string" &&
        encoding !== "utf8" &&
        encoding !== "utf-8"
          ? Buffer.from(chunk, encoding)
          : chunk;
      write(fd, data);
      const callback = typeof encoding === "function" ? encoding : done;
      if (callback) process.nextTick(callback, null);
      return true;
    };
  }
}
