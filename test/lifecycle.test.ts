/** The contract of everything that has a life, held for all kinds at once. CONTRIBUTING.md has its rules. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { UsageError } from "@taskloom/loop";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import { threadObject } from "@taskloom/offload";
import { describe, expect, onTestFinished, test } from "vitest";
import type { TestAPI } from "vitest";
import { kinds } from "./lifecycle/kinds.ts";
import type { Kind, Living, Places } from "./lifecycle/kinds.ts";
import { postgresTest } from "./support/postgres.ts";
import { redisTest } from "./support/redis.ts";

const childScript = fileURLToPath(new URL("lifecycle/child.ts", import.meta.url));

async function places(server?: string): Promise<Places> {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-lifecycle-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return server === undefined ? { folder } : { folder, server };
}

/** Returns a test with the places that a kind needs. */
function lifeTest({ needs }: Kind): TestAPI<{ at: Places }> {
  if (needs === "redis")
    return redisTest.extend<{ at: Places }>({
      at: async ({ redis }, use) => await use(await places(redis.url)),
    });
  if (needs === "postgres")
    return postgresTest.extend<{ at: Places }>({
      at: async ({ postgres }, use) => await use(await places(postgres)),
    });
  return test.extend<{ at: Places }>({
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    at: async ({}, use) => await use(await places()),
  });
}

/** Returns the error that a use throws, or with which its result rejects. */
async function errorOf(use: () => unknown): Promise<unknown> {
  try {
    await use();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe.each(kinds)("$name", (kind) => {
  const held = lifeTest(kind);
  const open = async (at: Places): Promise<Living> => {
    const object = await kind.open(at);
    onTestFinished(async () => void (await object.release?.()));
    return object;
  };

  held("is open, then stopping, then stopped; a second stop changes nothing", async ({ at }) => {
    const object = await open(at);
    await object.start();
    expect([undefined, "open"]).toContain(object.state());
    const stopped = object.stop();
    expect(object.state()).not.toBe("open");
    await stopped;
    expect([undefined, "stopped"]).toContain(object.state());
    await object.stop();
    expect([undefined, "stopped"]).toContain(object.state());
  });

  held("stops that are asked for at once resolve when it has stopped", async ({ at }) => {
    const object = await open(at);
    await object.start();
    const states = await Promise.all(
      Array.from({ length: 3 }, async () => {
        await object.stop();
        return object.state();
      }),
    );
    for (const state of states) expect([undefined, "stopped"]).toContain(state);
  });

  held("stops before it has started", async ({ at }) => {
    const object = await open(at);
    await object.stop();
    expect([undefined, "stopped"]).toContain(object.state());
  });

  held.for([0, 1, 10])("stops %i turns of the event loop after its start began", async (turns, { at }) => {
    const object = await open(at);
    const started = Promise.allSettled([object.start()]);
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    await object.stop();
    expect([undefined, "stopped"]).toContain(object.state());
    await started;
    expect([undefined, "stopped"]).toContain(object.state());
  });

  if (kind.refusal !== undefined) {
    const [errorClass, code] = kind.refusal;
    held("refuses its use after the stop", async ({ at }) => {
      const object = await open(at);
      await object.start();
      await object.stop();
      const error = await errorOf(object.use!);
      expect(error).toBeInstanceOf(errorClass);
      expect(error).toMatchObject({ code });
    });
  }

  held("is stopped by `await using`", async ({ at }) => {
    const object = await open(at);
    await object.start();
    if (object.disposable === undefined) await object.stop();
    else {
      await using used = object.disposable;
      expect(used).toBeDefined();
    }
    expect([undefined, "stopped"]).toContain(object.state());
  });

  held("keeps no process alive after its stop", async ({ at: { folder, server } }) => {
    const args = [kind.name, folder, ...(server === undefined ? [] : [server])];
    const child = spawn(
      process.execPath,
      ["--conditions=@taskloom/source", "--no-warnings", childScript, ...args],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    onTestFinished(() => void child.kill("SIGKILL"));
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect({ code, output }).toEqual({
      code: 0,
      output: "stopped while it started\nstopped after its start\n",
    });
  });
});

describe("Lifecycle", () => {
  const open = (): Lifecycle => new Lifecycle(() => new UsageError("IS_CLOSED", "It is closed"));

  test("runs the stop once, and returns its promise to every call", async () => {
    const life = open();
    const gate = Promise.withResolvers<void>();
    let count = 0;
    const stop = (): Promise<void> => {
      count++;
      return gate.promise;
    };
    const stops = [life.stop(stop), life.stop(stop)];
    expect(stops[0]).toBe(stops[1]);
    expect(life.state).toBe("stopping");
    gate.resolve();
    await Promise.all(stops);
    expect(life.state).toBe("stopped");
    expect(life.stop(stop)).toBe(stops[0]);
    expect(count).toBe(1);
  });

  test("a stop that fails rejects for every call, and the state is stopped", async () => {
    const life = open();
    const stop = (): Promise<void> => Promise.reject(new Error("stuck"));
    const outcomes = await Promise.allSettled([life.stop(stop), life.stop(async () => {})]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(life.state).toBe("stopped");
    await expect(life.stop(stop)).rejects.toThrow("stuck");
  });

  test("a start runs once, again after a failure, and not after the stop", async () => {
    const life = open();
    let count = 0;
    const start = async (): Promise<void> => {
      if (++count === 1) throw new Error("not there yet");
    };
    const first = await Promise.allSettled([life.start(start), life.start(start)]);
    expect(first.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await Promise.all([life.start(start), life.start(start)]);
    expect(count).toBe(2);
    await life.stop(async () => {});
    await expect(life.start(start)).rejects.toMatchObject({ code: "IS_CLOSED" });
    expect(count).toBe(2);
  });

  test("a start that is overtaken by the stop is refused", async () => {
    const life = open();
    const gate = Promise.withResolvers<void>();
    const started = life.start(() => gate.promise);
    const stopped = life.stop(() => life.startEnded());
    gate.resolve();
    await expect(started).rejects.toMatchObject({ code: "IS_CLOSED" });
    await stopped;
    expect(life.state).toBe("stopped");
  });

  test("a stop that waits for earlier uses refuses new ones, and allows what ends the earlier ones", async () => {
    const life = open();
    life.beginStop();
    expect(life.state).toBe("stopping");
    expect(() => life.assertOpen()).toThrow("It is closed");
    life.assertUsable();
    await life.stop(async () => {});
    expect(() => life.assertUsable()).toThrow("It is closed");
  });
});

test("an object on a thread whose disposal fails rejects for every call", async () => {
  const source = `export class Stuck { [Symbol.dispose]() { throw new Error("stuck"); } }`;
  const object = await threadObject<{ Stuck: new () => object }, "Stuck">(
    `data:text/javascript,${encodeURIComponent(source)}`,
    "Stuck",
    [],
  );
  const outcomes = await Promise.allSettled([object[Symbol.asyncDispose](), object[Symbol.asyncDispose]()]);
  expect(outcomes).toMatchObject([
    { status: "rejected", reason: { message: "stuck" } },
    { status: "rejected", reason: { message: "stuck" } },
  ]);
});
