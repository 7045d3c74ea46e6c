/** SQLITE_IOERR_SHMSIZE: the index of the write-ahead log cannot grow, because the disk is full. */
export const SHARED_MEMORY_FULL = 4874;

/** Returns SQLite's result code of an error; 0 for an error of another origin. */
export function resultCode(error: unknown): number {
  return (error as { readonly errcode?: number }).errcode ?? 0;
}

/** Returns SQLite's primary result code of an error, which is the last byte of its code; 0 for another error. */
export function primaryCode(error: unknown): number {
  return resultCode(error) & 0xff;
}
