/** What Piscina runs once on each thread: it hands the thread over to a server and reports which one it is. */
import { threadId } from "node:worker_threads";
import type { Enlistment } from "../wire.ts";
import { ThreadServer } from "./server.ts";

export default function enlist(enlistment: Enlistment): number {
  new ThreadServer(enlistment).start();
  return threadId;
}
