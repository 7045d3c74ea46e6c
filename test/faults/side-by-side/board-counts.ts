import { LANE } from "./plain-classes.ts";

/** Returns the counts of the lane in each state, as bull-board shows them. */
export async function boardCounts(address: string): Promise<unknown> {
  const answer = await fetch(`${address}/board/api/queues?activeQueue=${LANE}&status=latest`);
  const body: unknown = await answer.json();
  if (typeof body !== "object" || body === null || !("queues" in body) || !Array.isArray(body.queues))
    throw new Error(`bull-board answered ${answer.status}: ${JSON.stringify(body)}`);
  const queues: readonly { readonly name: string; readonly counts: unknown }[] = body.queues;
  return queues.find(({ name }) => name === LANE)?.counts;
}
