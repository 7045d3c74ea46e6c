// This file is preloaded into processes that tests start. They end when the test's process has ended, for any
// reason.
import { Socket } from "node:net";
import { isMainThread } from "node:worker_threads";

/** The pipe whose other end only the test's process holds. */
const lifeline = 3;

// A process that this process forks has an IPC channel at this descriptor, and ends with it.
if (isMainThread && process.send === undefined) {
  new Socket({ fd: lifeline, readable: true })
    .on("close", () => process.kill(process.pid, "SIGKILL"))
    .resume()
    .unref();
}
