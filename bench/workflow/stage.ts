import type { ChildProcess } from "node:child_process";
import { privateRedis } from "../queue/redis.ts";
import { installedPeers } from "./peers.ts";
import { CountingPostgres } from "./postgres-counts.ts";
import { kill } from "../child-process.ts";
import { killAll, spawned, started } from "./processes.ts";
import { privateRestate } from "./restate.ts";

/** The sides with a process of their own. A raw side stores entries, and does nothing else. */
export type Side =
  | "raw INSERT"
  | "raw append"
  | "Taskloom PostgreSQL"
  | "Taskloom Redis"
  | "DBOS"
  | "openworkflow"
  | "openworkflow, polled each ms"
  | "Restate";

/** Redis as it is configured to keep all but the last second. */
const EVERYSEC = ["--appendonly", "yes", "--appendfsync", "everysec"];

/** The servers of the bench, each of its own and started when a row needs it. */
export class Stage {
  #peers: Promise<string> | undefined;
  #postgres: Promise<CountingPostgres> | undefined;
  #redis: ReturnType<typeof privateRedis> | undefined;
  #restate: ReturnType<typeof privateRestate> | undefined;
  #databases = 0;

  get postgres(): Promise<CountingPostgres> {
    return (this.#postgres ??= CountingPostgres.start());
  }

  get redis(): ReturnType<typeof privateRedis> {
    return (this.#redis ??= privateRedis(EVERYSEC));
  }

  get #installed(): Promise<string> {
    return (this.#peers ??= installedPeers());
  }

  /** Creates a database in which nothing is stored, and returns its name and its address. */
  async database(): Promise<{ readonly name: string; readonly url: string }> {
    const name = `bench_${++this.#databases}`;
    return { name, url: await (await this.postgres).database(name) };
  }

  /** Starts the process of a side, on a database of its own. */
  async start(side: Side): Promise<ChildProcess> {
    const { file, args } = await this.#program(side);
    return await started(spawned(file, args));
  }

  /** Starts the process of a side on a given database, without waiting for it. */
  async spawn(side: Side, url: string): Promise<ChildProcess> {
    const { file, args } = await this.#program(side, url);
    return spawned(file, args);
  }

  async #program(side: Side, url?: string): Promise<{ readonly file: string; readonly args: string[] }> {
    const own = async (): Promise<string> => url ?? (await this.database()).url;
    switch (side) {
      case "raw INSERT":
        return { file: "raw-process.mjs", args: [await own()] };
      case "raw append":
        return { file: "raw-process.mjs", args: [url ?? (await this.redis).url] };
      case "Taskloom PostgreSQL":
        return { file: "taskloom-process.ts", args: [await own(), "both"] };
      case "Taskloom Redis":
        return { file: "taskloom-process.ts", args: [url ?? (await this.redis).url, "both"] };
      case "DBOS":
        return { file: "dbos-process.mjs", args: [await this.#installed, await own()] };
      case "openworkflow":
        return { file: "openworkflow-process.mjs", args: [await this.#installed, await own(), "default"] };
      case "openworkflow, polled each ms":
        return { file: "openworkflow-process.mjs", args: [await this.#installed, await own(), "eager"] };
      case "Restate": {
        const peers = await this.#installed;
        const { admin, ingress } = await (this.#restate ??= privateRestate(peers));
        return { file: "restate-process.mjs", args: [peers, admin, ingress] };
      }
    }
  }

  /** Runs `body` with a process of each side. */
  async with<S extends Side, T>(
    sides: readonly S[],
    body: (processes: Record<S, ChildProcess>) => Promise<T>,
  ): Promise<T> {
    const processes = {} as Record<S, ChildProcess>;
    try {
      for (const side of sides) processes[side] = await this.start(side);
      return await body(processes);
    } finally {
      await Promise.all(Object.values<ChildProcess>(processes).map(kill));
    }
  }

  async stop(): Promise<void> {
    await killAll();
    await Promise.all(
      [this.#postgres, this.#redis, this.#restate].map(async (server) => (await server)?.stop()),
    );
  }
}
