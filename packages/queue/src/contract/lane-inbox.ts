/**
 * The result of a delivery:
 *
 * - `gone`: there is no record of the job.
 * - `ended`: the job has ended, and its stored end stands.
 * - `full`: the inbox takes no more items for now. Nothing was stored.
 * - `stored`: the items are stored, and the run receives them, wherever it is.
 */
export type Delivery = "gone" | "ended" | "full" | "stored";

/** The inboxes of durable runs: the only way by which anything from outside reaches a run. */
export interface LaneInbox {
  /**
   * Stores items in the inbox of a run, in their order, and wakes the run if it is parked.
   *
   * @param items JSON texts.
   */
  deliver(laneName: string, id: string, items: readonly string[]): Promise<Delivery>;
}
