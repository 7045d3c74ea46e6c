import { createRedisBackend } from "bullmq";
import type { IQueueBackend } from "bullmq";
import type { ConnectToRenew } from "../../contract/lock-terms.ts";
import { openRedis } from "./redis-client.ts";

/** The server whose locks the renewing thread renews. */
export interface RenewalServer {
  readonly url: string;
  readonly prefix: string;
}

export const connectToRenew: ConnectToRenew<RenewalServer> = ({ url, prefix }, queues, patience) => {
  const connection = openRedis(url, { retryStrategy: () => 100, socketTimeout: patience });
  // The client connects again by itself. Locks that lapse meanwhile are reported as lost.
  connection.on("error", () => {});
  // A backend that connects the client itself would keep the failure of the first try for ever.
  connection.connect().catch(() => {});
  const options = { connection, prefix };
  return queues.map((name): IQueueBackend => createRedisBackend(name, options));
};
