import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { expect, onTestFinished } from "vitest";
import { redisTest } from "../support/redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import { Service } from "./service.ts";

const bin = fileURLToPath(new URL("../../apps/worker/src/bin.ts", import.meta.url));
const scriptCommand = "/usr/bin/script";
const missing = "no terminal: /usr/bin/script of util-linux makes one (Debian: apt-get install bsdutils)";

/** A command on a terminal of its own (a pty), which `script` creates. */
class Terminal {
  readonly ended: Promise<number | null>;
  readonly #child: ReturnType<typeof spawn>;
  #text = "";
  #changed = Promise.withResolvers<void>();

  constructor(...args: string[]) {
    const words = [process.execPath, "--conditions=@taskloom/source", bin, ...args];
    this.#child = spawn(scriptCommand, ["-qefc", words.map((word) => `'${word}'`).join(" "), "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, TERM: "xterm", CI: undefined },
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
    this.ended = new Promise((resolve) => this.#child.once("close", resolve));
    onTestFinished(() => void this.#child.kill("SIGKILL"));
  }

  /** The shown text, with each state of a redrawn line on a line of its own. */
  get text(): string {
    return stripVTControlCharacters(this.#text).replaceAll("\r", "\n");
  }

  /** All bytes that the terminal received. */
  get raw(): string {
    return this.#text;
  }

  async shown(pattern: RegExp): Promise<void> {
    const over = this.ended.then(() => true);
    while (!pattern.test(this.text)) {
      const isOver = await Promise.race([this.#changed.promise, over]);
      if (isOver === true && !pattern.test(this.text))
        throw new Error(`The command ended before it showed ${pattern}:\n${this.text}`);
    }
  }

  press(key: string): void {
    this.#child.stdin?.write(key);
  }
}

redisTest(
  "on a terminal, waiting shows how far a job is, and Ctrl-C ends the waiting alone",
  async ({ redis, skip }) => {
    if (!existsSync(scriptCommand)) return skip(missing);
    const service = await Service.start(redis.url);
    const engine = ["--engine", redis.url];
    const counted = new Terminal("submit", "test.count", "10", "300", "--wait", ...engine);
    await counted.shown(/█+░+ {2}\d of 10 {2}\d/);
    expect(await counted.ended).toBe(0);
    expect(counted.text.trim().endsWith("10")).toBe(true);

    const waiting = new Terminal("submit", "test.wait", "120000", "--wait", ...engine);
    await waiting.shown(/active {2}\d/);
    waiting.press("\u0003");
    expect(await waiting.ended).toBe(130);
    const [, id] = /taskloom cancel (\S+) ends it/.exec(waiting.text) ?? [];
    expect((await service.job(id!)).state).toBe("active");
    expect(waiting.text).not.toContain("at file:");
    await service.ask("DELETE", `/jobs/${id}`);
    await service.stop();
  },
);

redisTest(
  "on a terminal, control sequences of jobs are shown and not obeyed; programs get them as they are",
  async ({ redis, skip }) => {
    if (!existsSync(scriptCommand)) return skip(missing);
    const service = await Service.start(redis.url);
    const engine = ["--engine", redis.url];
    // Harmless ones: bold, a bell, a carriage return, and a C1 introducer.
    const odd = "A\u001b[1mB\u0007C\rD\u009b1mE";
    const hidden = "A\\x1b[1mB\\x07C\\x0dD\\x9b1mE";
    const failed = await service.submit("test.fail", odd);
    await service.job(failed.id, 20);
    const logged = await service.submit("test.say", odd);
    await service.job(logged.id, 20);
    const commands: [string[], number][] = [
      [["job", failed.id], 0],
      [["result", failed.id], 5],
      [["result", logged.id], 0],
      [["failed"], 0],
      [["job", `none-${odd}`], 4],
      [["jobs", "--json"], 0],
    ];
    for (const [command, code] of commands) {
      const terminal = new Terminal(...command, ...engine);
      expect(await terminal.ended, command.join(" ")).toBe(code);
      expect(terminal.raw, command.join(" ")).not.toMatch(unwanted);
      if (!["--json", "failed"].includes(command.at(-1)!))
        expect(terminal.text, command.join(" ")).toMatch(/A\\(x|u00)1b\[1mB/);
    }
    const job = new Terminal("job", logged.id, ...engine);
    await job.ended;
    expect(job.text).toContain(`log:       ${hidden}`);
    const piped = await taskloom("job", logged.id, ...engine);
    expect(piped.stdout).toContain(`log:       ${odd}`);

    const waited = new Terminal("submit", "test.say", JSON.stringify(odd), "1000", "--wait", ...engine);
    await waited.shown(/A\\x1b\[1mB/);
    expect(await waited.ended).toBe(0);
    expect(waited.raw).not.toMatch(unwanted);
    await service.stop();
    // The log is JSON, whose own escapes stay readable.
    const { stdout } = await service.process.ended;
    // oxlint-disable-next-line no-control-regex -- control characters are what it is about
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  },
  240_000,
);

/** Matches bold, the bell or a C1 character before the texts of this test in the terminal's bytes. */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const unwanted = /A\u001b|\u0007C|C\rD|\u009b/;
