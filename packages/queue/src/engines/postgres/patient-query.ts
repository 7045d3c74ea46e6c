import { setTimeout as delay } from "node:timers/promises";
import { pauseBeforeRepeat } from "../../contract/transient.ts";
import { postgresTransient } from "./postgres-transient.ts";

/** How often a refused statement is repeated, for about 3 seconds in all. A longer outage is reported to the caller. */
const MAX_REPEATS = 6;

/**
 * Runs a statement, and repeats it if the server refuses it, as it refuses the victim of a deadlock. The server has rolled
 * a refused statement back, so any statement that is a transaction of its own can be repeated.
 */
export async function patientQuery<T>(query: () => Promise<T>): Promise<T> {
  for (let times = 1; ; times++) {
    try {
      return await query();
    } catch (error) {
      if (times > MAX_REPEATS || postgresTransient(error) !== "refused") throw error;
    }
    await delay(pauseBeforeRepeat(times));
  }
}
