import type { Engine } from "@taskloom/queue";
import type { Logger } from "pino";
import type { MetricsSnapshot } from "../workers/job-metrics.ts";

/** The options of an HTTP address. */
export interface HttpOptions {
  readonly engine: Engine;
  readonly queues: readonly string[];
  /** Task modules of this process; the arguments of their tasks are checked before they are sent. */
  readonly modules: readonly object[];
  /** Returns the metrics of each worker of this service. */
  readonly metrics: () => Promise<readonly MetricsSnapshot[]>;
  /** Returns whether the workers take jobs. */
  readonly isReady: () => boolean;
  /** The address to listen on; undefined for a Unix socket. */
  readonly host: string | undefined;
  readonly token: string | undefined;
  readonly readToken: string | undefined;
  readonly bodyLimit: number;
  /** Requests per second of one client. */
  readonly rateLimit: number;
  /** Seconds in which a whole request has to arrive. */
  readonly requestTimeout: number;
  /** Event streams and requests with `wait` that can be open at once. */
  readonly maxStreams: number;
  /** Proxies whose `X-Forwarded-For` counts. */
  readonly trustProxy: readonly string[];
  readonly logger: Logger;
}
