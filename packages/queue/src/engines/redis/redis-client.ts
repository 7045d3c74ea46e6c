import { Cluster } from "ioredis";
import type { Redis, RedisOptions } from "ioredis";
import { WatchedCluster } from "./watched-cluster.ts";
import { Refusals, WritableRedis } from "./writable-redis.ts";

/** The connection to one server, or the connections to the nodes of a cluster. */
export type RedisClient = Redis | Cluster;

/** The address of a cluster: some or all of its nodes, and its credentials. */
interface ClusterAddress {
  readonly nodes: { readonly host: string; readonly port: number }[];
  readonly options: Pick<RedisOptions, "username" | "password" | "tls">;
}

interface ClientOptions extends Pick<
  RedisOptions,
  "connectTimeout" | "socketTimeout" | "enableAutoPipelining"
> {
  /** Returns the pause before the next connection, in milliseconds; null ends the tries. */
  readonly retryStrategy: (times: number) => number | null;
}

const CLUSTER_URL = /^redis(s?)-cluster:\/\/(?:([^@:]*)(?::([^@]*))?@)?([^@/?#]+)\/?$/i;

/** Returns whether a URL names a Redis Cluster and not one server. */
export function isClusterUrl(url: string): boolean {
  return /^rediss?-cluster:/i.test(url);
}

/**
 * Returns the prefix of all keys. Scripts use keys of several queues at once, and a cluster allows that only on one node. The
 * braces are a hash tag, which puts all keys on one node.
 */
export function prefixAt(url: string): string {
  return isClusterUrl(url) ? "{taskloom}" : "taskloom";
}

/**
 * Opens a client that connects at its first use. If the server is lost, commands wait and do not fail.
 *
 * @param url an address that `checkRedisUrl` has accepted. That function is elsewhere, so that the renewing thread, which opens
 *   a client, need not load the error classes.
 */
export function openRedis(url: string, { retryStrategy, ...options }: ClientOptions): RedisClient {
  const common = { ...options, maxRetriesPerRequest: null };
  if (!isClusterUrl(url)) {
    const refusals = new Refusals();
    return new WritableRedis(url, {
      ...common,
      lazyConnect: true,
      reconnectOnError: (error) => refusals.reconnects(error),
      retryStrategy: (times) => retryStrategy(times + refusals.inRow),
    });
  }
  const address = clusterAddress(url);
  if (address === undefined) throw new TypeError("Expected the address of a Redis Cluster");
  return new WatchedCluster(address.nodes, {
    lazyConnect: true,
    clusterRetryStrategy: retryStrategy,
    // Commands are redirected until a replica has taken over or the node is back.
    maxRedirections: Infinity,
    slotsRefreshTimeout: 5_000, // With ioredis's one second, a blocked event loop would lose the cluster.
    // Certificates name a host and not an address.
    dnsLookup: (host, callback) => callback(null, host),
    redisOptions: { ...common, ...address.options },
  });
}

/** Opens another client like a given one, for commands that cannot share its connections. */
export function another(client: RedisClient): RedisClient {
  return client instanceof Cluster ? client.duplicate() : client.duplicate();
}

/** Opens another client that repeats no command whose connection was cut. */
export function unrepeating(client: RedisClient): RedisClient {
  return client instanceof Cluster
    ? client.duplicate([], { clusterRetryStrategy: () => null, retryDelayOnFailover: 0, lazyConnect: true })
    : client.duplicate({ retryStrategy: () => null, reconnectOnError: null, lazyConnect: true });
}

/** Returns the nodes and the credentials of a cluster's address; undefined if it is not one. */
export function clusterAddress(url: string): ClusterAddress | undefined {
  const [, secure, username, password, hosts] = CLUSTER_URL.exec(url) ?? [];
  try {
    const nodes = hosts!.split(",").map((host) => {
      const { hostname, port } = new URL(`redis://${host}`);
      if (hostname === "") throw new TypeError(host);
      return { host: hostname.replaceAll(/[[\]]/g, ""), port: port === "" ? 6379 : Number(port) };
    });
    return {
      nodes,
      options: {
        ...(username && { username: decodeURIComponent(username) }),
        ...(password && { password: decodeURIComponent(password) }),
        ...(secure && { tls: {} }),
      },
    };
  } catch {
    return undefined;
  }
}
