import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { folderTest } from "./files.ts";

const program = fileURLToPath(new URL("fixtures/start-and-stay.ts", import.meta.url));

folderTest("what a test's process has started ends with it, also when that is killed", async ({ folder }) => {
  const parent = spawn(process.execPath, ["--conditions=@taskloom/source", program, folder], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, VITEST: undefined },
  });
  const [pid] = (await once(parent.stdout.setEncoding("utf8"), "data")) as [string];
  expect(isAlive(Number(pid))).toBe(true);
  parent.kill("SIGKILL");
  await expect.poll(() => isAlive(Number(pid)), { timeout: 20_000 }).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
