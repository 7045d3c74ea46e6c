// The types that the probe needs; threads.js hides its own types behind its `exports`.
declare module "threads" {
  interface QueuedCall extends PromiseLike<unknown> {
    cancel(): void;
  }
  // oxlint-disable-next-line typescript/no-extraneous-class -- it is theirs
  export class Worker {
    constructor(path: string);
  }
  export function spawn<T>(worker: Worker): Promise<T>;
  export function Pool<T>(
    make: () => Promise<T>,
    options: { size: number },
  ): { queue(run: (thread: T) => unknown): QueuedCall; terminate(force: boolean): Promise<void> };
}
