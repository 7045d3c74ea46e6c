import type { JobData } from "../wire/job-data.ts";
import type { Outcome } from "../wire/outcome.ts";

/** A message to the process that waits for a job. */
export type ReplyMessage =
  | {
      readonly id: string;
      readonly outcome: Outcome;
      readonly attempts: number;
      /** The last progress of the job, encoded. Earlier messages with progress can be lost or late. */
      readonly progress?: unknown;
    }
  | { readonly id: string; readonly progress: unknown }
  /** The submission will never run, because the engine keeps another one of the same deduplication key in its place. */
  | { readonly id: string; readonly became: string };

/**
 * The quick way for outcomes and progress. Messages can be lost and repeated: the stored state decides, and the client
 * polls it.
 */
export interface ReplyChannel {
  /** The address of this process, which travels in every job. */
  readonly address: string;
  /** Whether no message can be lost, because worker and submitter are the same process. */
  readonly isLossless: boolean;
  /**
   * Resolves when this process receives messages. `onGap` is called after messages may have been missed.
   *
   * @param isOneOfMany whether this process listens on other channels, too, each of which has a part of its messages.
   */
  listen(onMessage: (message: ReplyMessage) => void, onGap: () => void, isOneOfMany?: boolean): Promise<void>;
  /** Sends a message to a waiting process, together with the other messages of this turn. */
  send(address: string, message: ReplyMessage): void;
  /**
   * Sends the outcome of a job while the command that stores it has not been answered yet. The engine sends the message only
   * if the end of exactly this run is stored, and the promise resolves with whether it did.
   */
  sendBehind?(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean>;
}

/** Returns the address that receives a job's outcome; undefined if no process can be waiting for it. */
export function replyAddress(data: Pick<JobData, "reply">, { isLossless }: ReplyChannel): string | undefined {
  // In a single process the reply is the only news for a waiter that attached to a job without an address.
  return data.reply ?? (isLossless ? "" : undefined);
}

/** A run whose end is being stored. */
export interface EndingRun {
  readonly laneName: string;
  readonly id: string;
  readonly attemptsStarted: number;
}
