import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createTask, Future, getRunningLoop, run, Runner, sleep } from "@taskloom/loop";
import type { Executor, Task } from "@taskloom/loop";

const folder = mkdtempSync(join(import.meta.dirname, ".programs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
/** Runs a program in a process of its own, and calls `said` with each line that it prints. */
function program(
  code: string,
  said: (line: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
) {
  const file = join(folder, `program-${count++}.ts`);
  writeFileSync(file, code);
  return new Promise<{ lines: string[]; code: number | null; signal: string | null; stderr: string }>(
    (resolve) => {
      const child = spawn(process.execPath, ["--conditions=@taskloom/source", "--no-warnings", file]);
      const lines: string[] = [];
      let stderr = "";
      let rest = "";
      child.stderr.on("data", (data) => (stderr += String(data)));
      child.stdout.on("data", (data) => {
        const parts = (rest + String(data)).split("\n");
        rest = parts.pop()!;
        for (const line of parts) {
          lines.push(line);
          said(line, (signal) => child.kill(signal));
        }
      });
      child.on("close", (exitCode, signal) => resolve({ lines, code: exitCode, signal, stderr }));
    },
  );
}

const waiting = (cleanUp: string) => `
  import { Future, run, sleep } from "@taskloom/loop";
  await run(async () => {
    try {
      console.log("ready");
      await new Future();
    } finally {
      console.log("cleaning up");
      ${cleanUp}
      console.log("clean");
    }
  });
`;

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "the first %s cancels the main task, which may clean up; the process ends quietly, with %i",
  async (signal, code) => {
    const ended = await program(waiting("await sleep(1);"), (line, kill) => line === "ready" && kill(signal));
    expect(ended).toEqual({
      lines: ["ready", "cleaning up", "clean"],
      stderr: "",
      code,
      signal: null,
    });
  },
);

test("a program that catches what run threw goes on, and ends with the signal's exit code or its own", async () => {
  const catching = (then: string) => `
    import { CancelledError, Future, run } from "@taskloom/loop";
    const main = async () => {
      console.log("ready");
      await new Future();
    };
    await run(main).catch((error) => console.log(error instanceof CancelledError, error.message));
    ${then}
  `;
  const stop = (line: string, kill: (signal: NodeJS.Signals) => void) => line === "ready" && kill("SIGTERM");
  const caught = await program(catching(""), stop);
  expect(caught).toEqual({
    lines: ["ready", "true cancelled by SIGTERM"],
    stderr: "",
    code: 143,
    signal: null,
  });
  expect((await program(catching("process.exitCode = 0;"), stop)).code).toBe(0);
  const broken = await program(catching("throw new Error('of its own');"), stop);
  expect(broken.stderr).toContain("of its own");
  expect(broken.code).toBe(1);
});

test("a program whose clean-up fails after a signal ends with that error", async () => {
  const ended = await program(
    waiting("throw new Error('cannot clean up');"),
    (line, kill) => line === "ready" && kill("SIGINT"),
  );
  expect(ended.stderr).toContain("cannot clean up");
  expect(ended.code).toBe(1);
});

/** Ends the process if another handle keeps it alive: an unreferenced timer alone does not. */
const endLater = `setTimeout(() => { console.log("still here"); process.exit(0); }, 50).unref();`;
test.each([
  ["await sleep(Infinity);", true],
  ["createTask(sleep(Infinity));", true],
  ["getEventLoop().callLater(Infinity, () => {});", true],
  ["await sleep(2 ** 40);", true],
  ["await timeout(Infinity, () => new Event().wait());", true],
  ["await run(sleep(Infinity));", true],
  ["await run(new Event().wait());", true],
  ["await run(async () => new Future());", true],
  // Nothing can ever wake these. The process ends, as with a pending promise of Node's own.
  ["await new Event().wait();", false],
  ["await new Future();", false],
  ["getEventLoop().callLater(Infinity, () => {}).cancel();", false],
])("%s keeps the process alive: %s", async (code, isKept) => {
  const names = "createTask, Event, Future, getEventLoop, run, sleep, timeout";
  const lines = [`import { ${names} } from "@taskloom/loop";`, isKept ? endLater : "", code];
  const ended = await program(lines.join("\n"));
  expect(ended.lines).toEqual(isKept ? ["still here"] : []);
  expect(ended.code).toBe(code.startsWith("await") && !isKept ? 13 : 0); // 13: a top-level await never settled
});

test("the second signal ends the process", async () => {
  const cleanUp = 'await sleep(150); console.log("still cleaning up"); await sleep(60_000);';
  const ended = await program(waiting(cleanUp), (line, kill) => {
    if (line === "ready" || line === "still cleaning up") kill("SIGINT");
  });
  expect(ended.lines).toEqual(["ready", "cleaning up", "still cleaning up"]);
  expect(ended.code).toBe(130);
});

test("a signal that arrives twice at once counts once, also when the run has ended in between", async () => {
  const cleanUp = 'process.emit("SIGINT"); process.emit("SIGTERM");';
  const ended = await program(
    `${waiting(cleanUp).replace(/\}\);\s*$/, '}).catch(() => console.log("ended"));')}
    process.emit("SIGINT");
    console.log("lived on");
    `,
    (line, kill) => line === "ready" && kill("SIGINT"),
  );
  expect(ended.lines).toEqual(["ready", "cleaning up", "clean", "ended", "lived on"]);
  expect(ended.signal).toBe(null);
});

test("a program's own signal handler stays its own", async () => {
  const ended = await program(
    `
    import { Event, run } from "@taskloom/loop";
    const stop = new Event();
    process.on("SIGTERM", () => stop.set());
    await run(async () => {
      console.log("ready");
      await stop.wait();
      console.log("stopped");
    });
    `,
    (line, kill) => line === "ready" && kill("SIGTERM"),
  );
  expect(ended.lines).toEqual(["ready", "stopped"]);
  expect(ended.code).toBe(0);
});

test("the default loop keeps the process alive for what is awaited, and lets it end when idle", async () => {
  const ended = await program(`
    import { createTask, ExternalTask, getEventLoop, sleep } from "@taskloom/loop";
    createTask(async () => {
      await sleep(5);
      console.log("slept");
    });
    const awaited = new ExternalTask();
    setTimeout(() => awaited.succeed("outside"), 20).unref();
    void awaited.then((value) => console.log(value));
    new ExternalTask(); // no task awaits this one
    createTask(async () => { throw new Error("nobody looks"); });
    // A cancelled timer does not keep the process alive, whenever it was cancelled.
    const loop = getEventLoop();
    const late = loop.callLater(3_600_000, () => {});
    loop.callLater(3_600_000, () => {}).cancel();
    setTimeout(() => late.cancel(), 10);
  `);
  expect(ended.lines.toSorted()).toEqual(["outside", "slept"]);
  expect(ended.code).toBe(0);
  expect(ended.stderr).toMatch(/exception was never retrieved[^]*nobody looks/);
});

test("at its end run cancels what is left, waits for it, closes executors and the loop", async () => {
  const order: string[] = [];
  let left: Task<unknown> | undefined;
  const executor: Executor = {
    submit: () => expect.unreachable(),
    async shutdown() {
      order.push("executor");
    },
  };
  const loop = await run(async () => {
    left = createTask(async () => {
      try {
        await new Future();
      } finally {
        await sleep(1);
        order.push("left over");
      }
    });
    getRunningLoop().setDefaultExecutor(executor);
    getRunningLoop().addShutdownHook(() => void order.push("hook"));
    await sleep(1);
    order.push("main");
    return [getRunningLoop()] as const;
  });
  expect(order).toEqual(["main", "left over", "executor", "hook"]);
  expect(left!.cancelled()).toBe(true);
  expect(loop[0].isClosed()).toBe(true);
});

test("a callback that cancels its own handle and then fails is reported like any other", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const reports: string[] = [];
    loop.setExceptionHandler((_, context) => void reports.push(context.message));
    const timer = loop.callLater(
      0,
      function selfish(reason: string) {
        timer.cancel();
        throw new Error(reason);
      },
      "after all",
    );
    await sleep(1);
    expect(reports).toEqual(["Exception in callback selfish('after all')"]);
  });
});

test("run inside a running loop is an error that says so", async () => {
  await run(async () => {
    await expect(run(sleep(1))).rejects.toMatchObject({ code: "NESTED_RUN", message: /await the coroutine/ });
  });
});

test("a runner runs one thing after the other in one loop, and nothing after it was closed", async () => {
  const runner = new Runner();
  const loop = runner.getLoop();
  expect(await runner.run(async () => getRunningLoop() === loop)).toBe(true);
  expect(await runner.run(sleep(1, "again"))).toBe("again");
  await runner.close();
  await expect(runner.run(sleep(1))).rejects.toMatchObject({ code: "RUNNER_CLOSED" });
});

test("runInExecutor goes to the executor that is asked for, else to the default one", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    expect(() => loop.runInExecutor(null, () => 1)).toThrow(expect.objectContaining({ code: "NO_EXECUTOR" }));
    const here: Executor = {
      submit: (fn, ...args) => createTask(async () => await fn(...args)) as never,
      shutdown: async () => {},
    };
    expect(await loop.runInExecutor(here, (a: number, b: number) => a + b, 1, 2)).toBe(3);
    loop.setDefaultExecutor(here);
    expect(await loop.runInExecutor(null, () => "default")).toBe("default");
  });
});
