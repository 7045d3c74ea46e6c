// The jobs of the probes, which run on the peers' threads.
import workerpool from "workerpool";
import { isMainThread, parentPort } from "node:worker_threads";

class OutOfStock extends RangeError {
  code = "OUT_OF_STOCK";
}
const block = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
export const jobs = {
  mark: ({ log, id }) => {
    Atomics.store(log, Atomics.add(log, 0, 1) + 1, id);
  },
  wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  spin: () => {
    for (;;);
  },
  fail: () => {
    throw new OutOfStock("gone", { cause: new TypeError("why") });
  },
  uncloneable: () => ({ handler: () => 1 }),
  buffer: () => Buffer.from("hi"),
  callBack: async ({ tools }) => tools.back(1),
  talk: () => {
    console.log("line 1");
    console.log("line 2");
    block(300);
  },
  leave: () => process.exit(3),
  timer: () => {
    setTimeout(() => process.stdout.write("timer ran\n"), 20);
  },
};
export default ({ job, arg }) => jobs[job](arg);
if (!isMainThread && parentPort !== null && process.argv.includes("--workerpool"))
  workerpool.worker({ run: ({ job, arg }) => jobs[job](arg) });
