/** An entry of the ready queue: a task's next step, a callback's handle, a sleep that is over. */
export interface Runnable {
  /** @internal */
  _run(): void;
}
