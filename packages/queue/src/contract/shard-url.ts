import { EngineUrlError } from "../errors.ts";
import { MAX_SHARDS } from "./shard-id.ts";
import { withoutPassword } from "./without-password.ts";

/** The address of a queue with shards. */
export interface ShardAddress {
  /** The number of shards that the address names. */
  readonly count: number;
  /** The URL of each server in the order of the shards, or the one URL of the cluster. */
  readonly urls: readonly string[];
  readonly isCluster: boolean;
  /** The URL without the password, for messages. */
  readonly shown: string;
}

const SHARDS = /([?&])shards=([^&#]*)(&?)/;
const SERVERS = /^(rediss?:\/\/)((?:[^@/?#]*@)?)([^@/?#]+)(.*)$/is;

/** Returns whether a URL names a queue with shards: several servers, or the parameter `shards`. */
export function hasShards(url: string): boolean {
  if (!/^rediss?(?:-cluster)?:/i.test(url)) return false;
  return SHARDS.test(url) || (SERVERS.exec(url)?.[3] ?? "").includes(",");
}

/**
 * Returns the parts of a URL that {@link hasShards}.
 *
 * @throws {@link EngineUrlError} for a number of shards that is not one, or that is not the number of servers.
 */
export function shardAddress(url: string): ShardAddress {
  const shown = withoutPassword(url);
  const plain = withoutParameter(url);
  const given = SHARDS.exec(url)?.[2];
  const wanted = given === undefined ? undefined : checkShardCount(given, shown);
  if (/^rediss?-cluster:/i.test(url)) return { count: wanted ?? 1, urls: [plain], isCluster: true, shown };
  const [, scheme = "", credentials = "", hosts = "", rest = ""] = SERVERS.exec(plain) ?? [];
  const servers = hosts.split(",");
  const twice = servers.find((server, at) => server === "" || servers.indexOf(server) !== at);
  if (twice !== undefined)
    throw new EngineUrlError(
      `${shown} names ${twice === "" ? "an empty server" : `${twice} twice`}; name each server of the queue once, as in redis://10.0.0.1:6379,10.0.0.2:6379`,
    );
  if (wanted !== undefined && wanted !== servers.length)
    throw new EngineUrlError(
      `${shown} has ${servers.length} servers and shards=${wanted}; each server is one shard, so leave the parameter out, or use redis-cluster://`,
    );
  const urls = servers.map((server) => `${scheme}${credentials}${server}${rest}`);
  return { count: servers.length, urls, isCluster: false, shown };
}

/**
 * Returns a number of shards.
 *
 * @throws {@link EngineUrlError} if it is not a whole number from 1 to {@link MAX_SHARDS}.
 */
export function checkShardCount(given: string, shown: string): number {
  const count = Number(given);
  if (/^\d{1,4}$/.test(given) && count >= 1 && count <= MAX_SHARDS) return count;
  throw new EngineUrlError(
    `Expected \`shards\` of ${shown} to be a whole number from 1 to ${MAX_SHARDS}, got ${JSON.stringify(given)}`,
  );
}

function withoutParameter(url: string): string {
  return url.replace(SHARDS, (_, before: string, _count, after: string) => (after === "" ? "" : before));
}

/** Returns a URL of another server with the credentials and the database of a URL. */
export function urlOfServer(like: string, server: string): string {
  const [, scheme = "", credentials = "", , rest = ""] = SERVERS.exec(like) ?? [];
  return `${scheme}${credentials}${server}${rest}`;
}

/** Returns the host and the port of a server's URL. */
export function serverOfUrl(url: string): string {
  return SERVERS.exec(url)?.[3] ?? url;
}
