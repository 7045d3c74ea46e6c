// Preloaded into processes that tests start: they end when the test's process is gone, however it went.
import { Socket } from "node:net";
import { isMainThread } from "node:worker_threads";

/** The pipe whose other end only the test's process holds. */
const lifeline = 3;

// What this process forks has an IPC channel there, and ends with that.
if (isMainThread && process.send === undefined) {
  new Socket({ fd: lifeline, readable: true })
    .on("close", () => process.kill(process.pid, "SIGKILL"))
    .resume()
    .unref();
}
