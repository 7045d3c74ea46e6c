/** What Piscina runs once on each thread: it hands the thread over to a server and reports which one it is. */
import { threadId } from "node:worker_threads";
import { enterThread } from "../boundary/recursion.ts";
import type { Enlistment } from "../boundary/wire.ts";
import { ThreadServer } from "./server.ts";

export default function enlist(enlistment: Enlistment): number {
  enterThread(enlistment.depth);
  new ThreadServer(enlistment).start();
  return threadId;
}
