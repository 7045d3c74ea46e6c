import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import {
  createSubprocess,
  createTask,
  getRunningLoop,
  Queue,
  run,
  sleep,
  SubprocessProtocol,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import type { Process, SubprocessTransport } from "@taskloom/loop";

const node = (source: string, options: Parameters<typeof createSubprocess>[2] = {}) =>
  createSubprocess(process.execPath, ["-e", source], options);
const piped = { stdin: "pipe", stdout: "pipe", stderr: "pipe" } as const;

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test("communicate: input, output, errors, return code, in either spelling", async () => {
  const source = `process.stdin.on("data", (d) => process.stdout.write(d.toString().toUpperCase()));
    process.stdin.on("end", () => { console.error("done"); process.exitCode = 3; });`;
  await run(async () => {
    const child = await node(source, piped);
    expect(child.returnCode).toBe(null);
    const { stdout, stderr } = await child.communicate("hello");
    expect([stdout?.toString(), stderr?.toString(), child.returnCode]).toEqual(["HELLO", "done\n", 3]);
    expect([child.kill(), child.terminate(), child.sendSignal("SIGUSR2")]).toEqual([false, false, false]);
    expect(await child.wait()).toBe(3);
  });
  await run(function* () {
    const child = yield* node(source, piped);
    const { stdout } = yield* child.communicate(Buffer.from("hello"));
    expect(stdout?.toString()).toBe("HELLO");
  });
});

test("megabytes through a child, both ways at once, without a deadlock", async () => {
  await run(async () => {
    const child = await createSubprocess("cat", [], { stdin: "pipe", stdout: "pipe" });
    const big = Buffer.alloc(8 * 1024 * 1024, "abcdefg");
    const { stdout, stderr } = await child.communicate(big);
    expect(stdout?.equals(big)).toBe(true);
    expect(stderr).toBe(null);
  });
});

test("lines as they come, from a child that writes faster than they are read", async () => {
  await run(async () => {
    const child = await node(`for (let i = 0; i < 20000; i++) console.log("line " + i)`, {
      stdout: "pipe",
      limit: 4096,
    });
    let count = 0;
    for await (const line of child.stdout!) {
      expect(line.toString()).toBe(`line ${count}\n`);
      if (++count % 5000 === 0) await sleep(5);
    }
    expect(count).toBe(20000);
    expect(await child.wait()).toBe(0);
  });
});

test("a child that does not want its input is no error", async () => {
  await run(async () => {
    const child = await node("process.exit(0)", { stdin: "pipe", stdout: "pipe" });
    const { stdout } = await child.communicate(Buffer.alloc(4 * 1024 * 1024));
    expect(stdout?.length).toBe(0);
    expect(child.returnCode).toBe(0);
  });
});

test("a shell runs a command line", async () => {
  await run(async () => {
    const child = await createSubprocess("echo $GREETING | tr a-z A-Z", [], {
      shell: true,
      stdout: "pipe",
      env: { ...process.env, GREETING: "hello" },
    });
    expect((await child.communicate()).stdout?.toString()).toBe("HELLO\n");
  });
});

describe("the end of a child", () => {
  const forever = "setInterval(() => {}, 1000); console.log('up')";

  test("killed by a signal: its negative number", async () => {
    await run(async () => {
      const child = await node(forever, { stdout: "pipe" });
      await child.stdout!.readLine();
      expect(child.terminate()).toBe(true);
      expect(await child.wait()).toBe(-15);
      const other = await node(forever, { stdout: "pipe" });
      other.kill();
      expect(await other.wait()).toBe(-9);
    });
  });

  test("a wait that times out leaves the child alone; disposing it does not", async () => {
    await run(async () => {
      const child = await node(forever, { stdout: "pipe" });
      await child.stdout!.readLine();
      await expect(timeout(20, () => child.wait())).rejects.toBeInstanceOf(TimeoutError);
      const communicating = createTask(child.communicate());
      await sleep(5);
      communicating.cancel();
      await expect(communicating).rejects.toMatchObject({ code: "CANCELLED" });
      expect(isAlive(child.pid)).toBe(true);
      await child[Symbol.asyncDispose]();
      expect(child.returnCode).toBe(-9);
    });
  });

  test("run kills the children that are left", async () => {
    let child: Process | undefined;
    await run(async () => {
      child = await node(forever, { stdout: "pipe" });
      await child.stdout!.readLine();
    });
    expect(isAlive(child!.pid)).toBe(false);
  });

  test("a program that does not exist; no program; input without a pipe", async () => {
    await run(async () => {
      await expect(createSubprocess("/no/such/program")).rejects.toMatchObject({ code: "ENOENT" });
      await expect(createSubprocess("")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      const child = await node("", { stdin: "ignore" });
      await expect(child.communicate("input")).rejects.toMatchObject({ code: "NO_STDIN" });
      await child.wait();
      expect(getRunningLoop()._resources.size).toBe(0);
    });
  });
});

test("the calls of a subprocess protocol", async () => {
  class Recorder extends SubprocessProtocol {
    readonly calls: string[] = [];
    readonly ended = new Queue<null>();
    override connectionMade(transport: SubprocessTransport): void {
      this.calls.push("made");
      transport.getPipeTransport(0)?.write("hello");
      transport.getPipeTransport(0)?.close();
    }
    override pipeDataReceived(fd: number, data: Buffer): void {
      this.calls.push(`data ${fd} ${data.toString()}`);
    }
    override pipeConnectionLost(fd: number): void {
      this.calls.push(`pipe ${fd}`);
    }
    override processExited(): void {
      this.calls.push("exited");
    }
    override connectionLost(): void {
      this.calls.push("lost");
      this.ended.putNowait(null);
    }
  }
  await run(async () => {
    const [transport, protocol] = await getRunningLoop().createSubprocess(
      () => new Recorder(),
      "cat",
      [],
      piped,
    );
    await protocol.ended.get();
    expect(transport.getReturnCode()).toBe(0);
    expect(protocol.calls[0]).toBe("made");
    expect(protocol.calls.at(-1)).toBe("lost");
    expect(protocol.calls.toSorted((a, b) => a.localeCompare(b))).toEqual(
      ["made", "data 1 hello", "pipe 0", "pipe 1", "pipe 2", "exited", "lost"].toSorted((a, b) =>
        a.localeCompare(b),
      ),
    );
  });
});

test("another protocol can take over a child", async () => {
  class Collector extends SubprocessProtocol {
    readonly lost = getRunningLoop().createFuture<string>();
    #output = "";
    override pipeDataReceived(_fd: number, data: Buffer): void {
      this.#output += data.toString();
    }
    override connectionLost(): void {
      this.lost.setResult(this.#output);
    }
  }
  await run(async () => {
    const [transport, first] = await getRunningLoop().createSubprocess(
      () => new Collector(),
      "cat",
      [],
      piped,
    );
    const second = new Collector();
    transport.setProtocol(second);
    transport.getPipeTransport(0)!.write("for the second");
    transport.getPipeTransport(0)!.close();
    expect(await second.lost).toBe("for the second");
    expect(first.lost.done()).toBe(false);
  });
});

test("a child that is over before the loop's next turn loses none of its output", async () => {
  await run(async () => {
    const starting = createTask(createSubprocess("echo", ["quick"], { stdout: "pipe" }));
    // This runs in the iteration in which the child starts, and lasts until the child has ended.
    getRunningLoop().callSoon(() => spawnSync("sleep", ["0.3"]));
    const child = await starting;
    expect((await child.communicate()).stdout?.toString()).toBe("quick\n");
  });
});

test("what a child printed waits for its reader, though the child has ended and reading was paused", async () => {
  const events: string[] = [];
  class Paused extends SubprocessProtocol {
    readonly exited = getRunningLoop().createFuture<null>();
    readonly lost = getRunningLoop().createFuture<null>();
    override connectionMade(transport: SubprocessTransport): void {
      transport.getPipeTransport(1)!.pauseReading();
    }
    override pipeDataReceived(_fd: number, data: Buffer): void {
      events.push(data.toString());
    }
    override processExited(): void {
      this.exited.setResult(null);
    }
    override connectionLost(): void {
      this.lost.setResult(null);
    }
  }
  await run(async () => {
    const [transport, protocol] = await getRunningLoop().createSubprocess(
      () => new Paused(),
      "echo",
      ["later"],
      { stdout: "pipe" },
    );
    await protocol.exited;
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve)); // Node resumes it in the first turn
    expect(events).toEqual([]);
    transport.getPipeTransport(1)!.resumeReading();
    await protocol.lost;
    expect(events).toEqual(["later\n"]);
  });
});

test("no child is started for a protocol that cannot be made; a failed start may be given up", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const failing = (): never => {
      throw new RangeError("no protocol");
    };
    await expect(loop.createSubprocess(failing, "cat")).rejects.toThrow("no protocol");
    expect(process.getActiveResourcesInfo()).not.toContain("ProcessWrap");
    const starting = createTask(createSubprocess("/no/such/program"));
    loop.callSoon(() => starting.cancel()); // before Node has reported the failure
    await expect(starting).rejects.toBeInstanceOf(Error);
    expect(loop._resources.size).toBe(0);
  });
});
