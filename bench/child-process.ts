import type { ChildProcess } from "node:child_process";

/** Waits for a message with `key` from a process, and returns its value. `limit` is in milliseconds; by default there is none. */
export function told(child: ChildProcess, key: string, limit?: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onLimit = (): void =>
      reject(new Error(`A process of the bench sent no "${key}"; run the row alone`));
    const timer = limit === undefined ? undefined : setTimeout(onLimit, limit);
    const onMessage = (message: Record<string, unknown>): void => {
      if (!(key in message)) return;
      clearTimeout(timer);
      child.off("message", onMessage).off("exit", onExit);
      resolve(message[key]);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      clearTimeout(timer);
      reject(new Error(`A process of the bench ended with ${code ?? signal}`));
    };
    child.on("message", onMessage).on("exit", onExit);
  });
}

/** Ends a process at once. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}
