import type { JobData } from "../wire/job-data.ts";
import type { Outcome } from "../wire/outcome.ts";

/** What travels from a worker to the one process that waits. */
export type ReplyMessage =
  | {
      readonly id: string;
      readonly outcome: Outcome;
      readonly attempts: number;
      /** The last that it reported, encoded: what was sent before can be lost or late. */
      readonly progress?: unknown;
    }
  | { readonly id: string; readonly progress: unknown }
  /** The submission will never run: another one of its deduplication key was kept in its place. */
  | { readonly id: string; readonly became: string };

/**
 * The quick way for outcomes and progress. It may lose messages and repeat them: what is stored is the truth, and the
 * client looks there in time.
 */
export interface ReplyChannel {
  /** Where messages for this process go; it travels in every job. */
  readonly address: string;
  /** Whether nothing can be lost between the worker and this process (they are the same process). */
  readonly isLossless: boolean;
  /** Begins to receive, and ends when it does. `onGap` tells that messages may have been missed. */
  listen(onMessage: (message: ReplyMessage) => void, onGap: () => void): Promise<void>;
  /** Sends to a waiting process, batched with what else is sent in this turn. */
  send(address: string, message: ReplyMessage): void;
  /**
   * Sends a job's outcome when the command that stores it is on its way and not yet answered. The engine looks whether
   * that very run's end is stored, and sends nothing if not; ends with what it did.
   */
  sendBehind?(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean>;
}

/** Where a job's end is told; undefined when nobody can be waiting for it. */
export function replyAddress(data: Pick<JobData, "reply">, { isLossless }: ReplyChannel): string | undefined {
  // Where all is one process, whoever has attached to a job that nobody waited for hears of its end from this alone.
  return data.reply ?? (isLossless ? "" : undefined);
}

/** A run whose end is being stored. */
export interface EndingRun {
  readonly laneName: string;
  readonly id: string;
  readonly attemptsStarted: number;
}
