/** Returns the value that `read` returns, or `otherwise` if `read` throws. */
export function valueOr<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
