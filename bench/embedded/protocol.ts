/** The measurements that the bench requests from one of its processes, each by a name. */
export type Question =
  | { readonly name: "burst"; readonly count: number }
  | { readonly name: "serial"; readonly count: number }
  | { readonly name: "rss" }
  | { readonly name: "runs" }
  | { readonly name: "delay"; readonly rate: number; readonly seconds: number };

/** Times are in milliseconds, memory in bytes. */
export interface Figures {
  readonly burst: { readonly time: number; readonly cpu: number };
  readonly serial: { readonly p50: number };
  readonly rss: { readonly bytes: number };
  readonly runs: { readonly runs: number };
  readonly delay: { readonly p99: number; readonly done: number };
}

/** The part of a process: both sides of the queue, one side, or an open and idle engine. */
export type Role = "both" | "worker" | "client" | "idle" | "first";
