import { setTimeout as delay } from "node:timers/promises";
import { pauseBeforeRepeat } from "../../contract/transient.ts";
import { sqlTransient } from "./sql-transient.ts";

/** So often a refused statement is repeated, for about 3 seconds; longer outages are known to those who ask. */
const repeatsAtMost = 6;

/**
 * Repeats a statement that the server refused, such as a deadlock's victim. The server has rolled it back, so repeating
 * it is safe whatever it does, if it is a transaction of its own.
 */
export async function patientQuery<T>(query: () => Promise<T>): Promise<T> {
  for (let times = 1; ; times++) {
    try {
      return await query();
    } catch (error) {
      if (times > repeatsAtMost || sqlTransient(error) !== "refused") throw error;
    }
    await delay(pauseBeforeRepeat(times));
  }
}
