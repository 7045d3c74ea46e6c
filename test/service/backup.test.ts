import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openEngine } from "@taskloom/queue";
import { expect } from "vitest";
import { folderTest } from "../support/files.ts";
import { taskloom } from "../support/taskloom-process.ts";

folderTest("a backup of a folder in use has every job, and can be opened", async ({ folder }) => {
  const url = `embedded:${join(folder, "data")}`;
  const engine = openEngine(url);
  await engine.connect();
  const queue = engine.openQueue("default.loop");
  await queue.addBulk(Array.from({ length: 500 }, (_, n) => ({ name: "job", data: { n } })));
  const file = join(folder, "copy.sqlite");
  expect(await taskloom("backup", file, "--engine", url)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/copy\.sqlite: [\d,]+ bytes/) as string,
  });
  expect(await taskloom("backup", file, "--engine", url)).toMatchObject({
    code: 1,
    stderr: `taskloom: ${file} exists; name a file that does not exist\n`,
  });
  await expect(engine.backup!(file)).rejects.toMatchObject({
    name: "EmbeddedDatabaseError",
    code: "EMBEDDED_FILE_EXISTS",
    path: join(folder, "data"),
  });
  const none = await taskloom("backup", join(folder, "x"), "--engine", `embedded:${join(folder, "none")}`);
  expect(none).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("There is no embedded engine in") as string,
  });
  expect(await taskloom("backup", "x", "--engine", "redis://127.0.0.1:1")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("redis-cli --rdb") as string,
  });
  await queue.close();
  await engine.close();

  await mkdir(join(folder, "restored"));
  await copyFile(file, join(folder, "restored", "taskloom.sqlite"));
  const restored = openEngine(`embedded:${join(folder, "restored")}`);
  await restored.connect();
  const again = restored.openQueue("default.loop");
  expect(await again.getWaitingCount()).toBe(500);
  await again.close();
  await restored.close();
});
