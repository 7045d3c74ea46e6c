/**
 * A thread's console output, at once. Node hands a thread's output to the main thread piece by piece, each
 * after an acknowledgement that the thread reads only when it is idle; here every write is posted when it is
 * made, in order with everything else the call says.
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
      // As Node refuses it; the other side could only crash over it.
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
