import type { Store } from "../store/store.ts";
import * as add from "./add.ts";
import * as claim from "./claim.ts";
import * as details from "./details.ts";
import * as events from "./events.ts";
import * as finish from "./finish.ts";
import * as metrics from "./metrics.ts";
import * as move from "./move.ts";
import * as queries from "./queries.ts";
import * as remove from "./remove.ts";
import * as schedulers from "./schedulers.ts";
import * as statements from "./statements.ts";
import * as turn from "./turn.ts";
import * as userFunction from "./user-function.ts";

type Operations = typeof add &
  typeof claim &
  typeof details &
  typeof events &
  typeof finish &
  typeof metrics &
  typeof move &
  typeof queries &
  typeof remove &
  typeof schedulers &
  typeof statements &
  typeof turn &
  typeof userFunction;

/**
 * Every operation of the database thread by its name. The first parameter is the store. The main thread sends the other
 * parameters, so they are values that structured clone copies.
 */
export const operations: Operations = {
  ...add,
  ...claim,
  ...details,
  ...events,
  ...finish,
  ...metrics,
  ...move,
  ...queries,
  ...remove,
  ...schedulers,
  ...statements,
  ...turn,
  ...userFunction,
};

/** The names of the operations. */
export type OperationName = keyof Operations;

type Rest<F> = F extends (store: Store, ...rest: infer R) => unknown ? R : never;
/** The parameters of an operation after the store. */
export type OperationArgs<N extends OperationName> = Rest<Operations[N]>;
/** The result of an operation. */
export type OperationResult<N extends OperationName> = ReturnType<Operations[N]>;
