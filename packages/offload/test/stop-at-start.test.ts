import { spawn } from "node:child_process";
import { expect, it } from "vitest";

const index = new URL("../src/index.ts", import.meta.url).href;

/** Ends many pools at different moments of the starts of their threads, in a process of its own. */
const program = `import { ThreadPoolExecutor } from ${JSON.stringify(index)};
  for (let round = 0; round < 12; round++) {
    const pool = new ThreadPoolExecutor({ minThreads: 2, maxThreads: 2 });
    const call = pool.submit(() => 1).then(() => {}, () => {});
    await new Promise((resolve) => setTimeout(resolve, round * 12));
    await pool.shutdown({ cancelPending: true, cancelRunning: true });
    await call;
  }
  console.log("ended");`;

it("ends a pool while its threads start, and the process goes on", { timeout: 120_000 }, async () => {
  const child = spawn(
    process.execPath,
    ["--conditions=@taskloom/source", "--input-type=module", "--eval", program],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const ended = await new Promise((resolve) =>
    child.once("close", (code, signal) => resolve([code, signal])),
  );
  expect([ended, output]).toEqual([[0, null], "ended\n"]);
});
