import { cancelReasonIn, workerOfToken } from "../../contract/cancellation.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import { numberIn, textIn } from "./rows.ts";
import type { Row } from "./rows.ts";

/** The answer to a cancel, and for a running job the request that its worker has to receive. */
export interface CancelMark {
  readonly answer: CancelAnswer;
  readonly request: { readonly workerId: string; readonly request: CancelRequest } | undefined;
}

/**
 * Returns the meaning of the row that a cancel statement returns: its verdict as `kind`, and `lock_token`,
 * `attempts_started` and `processed` of a running job.
 *
 * @param token the canceller's token, under which the statement takes a job that does not run.
 */
export function cancelMark(row: Row | undefined, id: string, token: string, reason: string): CancelMark {
  const answer = (kind: "gone" | "done" | "sealed" | "running"): CancelMark => ({
    answer: { kind },
    request: undefined,
  });
  if (row === undefined) return answer("gone");
  switch (row["kind"]) {
    case "done":
    case "sealed":
      return answer(row["kind"]);
    case "claimed":
      return { answer: { kind: "claimed", token }, request: undefined };
    case "running": {
      const run = {
        token: textIn(row, "lock_token") ?? "",
        attemptsStarted: numberIn(row, "attempts_started") ?? 0,
        startedAt: numberIn(row, "processed") ?? 0,
      };
      const request = { id, ...run, reason };
      return { answer: { kind: "running" }, request: { workerId: workerOfToken(run.token), request } };
    }
    default: // Flagged: the job is ended at its next start.
      return answer("running");
  }
}

/**
 * Returns the answer to a seal that was not set, from the job's row with `lock_token` and `deferred_failure`; undefined
 * if the row shows no reason.
 */
export function refusedSeal(row: Row | undefined, token: string): SealAnswer | undefined {
  if (row?.["lock_token"] !== token) return { kind: "lost" };
  const reason = cancelReasonIn(row["deferred_failure"]);
  return reason === undefined ? undefined : { kind: "cancelled", reason };
}
