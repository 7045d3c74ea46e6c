import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { expect, onTestFinished } from "vitest";
import { redisTest } from "../support/redis.ts";
import { Service } from "./service.ts";

const bin = fileURLToPath(new URL("../../apps/worker/src/bin.ts", import.meta.url));
const scriptCommand = "/usr/bin/script";
const missing = "no terminal: /usr/bin/script of util-linux makes one (Debian: apt-get install bsdutils)";

/** A command on a terminal of its own (a pty), which `script` makes. */
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

  /** What has been shown, each state of a line that is drawn over on a line of its own. */
  get text(): string {
    return stripVTControlCharacters(this.#text).replaceAll("\r", "\n");
  }

  async shown(pattern: RegExp): Promise<void> {
    const over = this.ended.then(() => true);
    while (!pattern.test(this.text)) {
      const isOver = await Promise.race([this.#changed.promise, over]);
      if (isOver === true && !pattern.test(this.text))
        throw new Error(`It ended before it showed ${pattern}:\n${this.text}`);
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
    expect((await service.job(id as string)).state).toBe("active");
    expect(waiting.text).not.toContain("at file:");
    await service.ask("DELETE", `/jobs/${id}`);
    await service.stop();
  },
);
