/** The task of Piscina's that runs once on each thread. It hands the thread over, and returns the thread's id. */
import { threadId } from "node:worker_threads";
import { enterThread } from "../boundary/recursion.ts";
import type { ThreadInit } from "../boundary/wire.ts";
import { ThreadServer } from "./server.ts";

export default function startServer(init: ThreadInit): number {
  enterThread(init.depth);
  new ThreadServer(init).start();
  return threadId;
}
