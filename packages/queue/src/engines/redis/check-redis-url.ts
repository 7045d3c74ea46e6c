import { EngineUrlError } from "../../errors.ts";
import { withoutPassword } from "../../contract/without-password.ts";
import { clusterAddress, isClusterUrl } from "./redis-client.ts";

/** @throws {@link EngineUrlError} if the URL is neither a server's nor a cluster's. */
export function checkRedisUrl(url: string): void {
  if (isClusterUrl(url)) {
    if (clusterAddress(url) !== undefined) return;
    throw new EngineUrlError(
      `${withoutPassword(url)} is not the address of a Redis Cluster; name nodes of it, as in redis-cluster://USER:PASSWORD@10.0.0.1:6379,10.0.0.2:6379, with what is special in a password percent-encoded. A cluster has no databases to choose from`,
    );
  }
  const isServer =
    URL.canParse(url) && /^\/?\d{0,9}$/.test(new URL(url).pathname) && new URL(url).hostname !== "";
  if (isServer) return;
  throw new EngineUrlError(
    `${withoutPassword(url)} is not a Redis address; use one such as redis://127.0.0.1:6379, or redis://127.0.0.1:6379/1 for database 1`,
  );
}
