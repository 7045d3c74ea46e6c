import type { ConnectToRenew, LockExtender } from "../../contract/lock-terms.ts";
import { openRedis } from "./redis-client.ts";
import { RENEW_LOCKS } from "./renew-locks-script.ts";
import { RepeatingScripts } from "./repeating-scripts.ts";

/** The server whose locks the renewing thread renews. */
export interface RenewalServer {
  readonly url: string;
  readonly prefix: string;
}

export const connectToRenew: ConnectToRenew<RenewalServer> = ({ url, prefix }, queues, patience) => {
  const client = openRedis(url, { retryStrategy: () => 100, socketTimeout: patience });
  // The client connects again by itself. Locks that lapse meanwhile are reported as lost.
  client.on("error", () => {});
  client.connect().catch(() => {});
  const scripts = new RepeatingScripts(client, () => ({ renewLocks: RENEW_LOCKS }));
  return queues.map((name): LockExtender => {
    const keys = `${prefix}:${name}:`;
    return {
      extend: async (ids, tokens, duration) => {
        const locks = ids.map((id) => `${keys}${id}:lock`);
        const values = ids.flatMap((id, at) => [id, tokens[at]!]);
        const lost = await scripts.run("renewLocks", [`${keys}stalled`, ...locks], [duration, ...values]);
        return (lost as unknown[]).map(String);
      },
    };
  });
};
