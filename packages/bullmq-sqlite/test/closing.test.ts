import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Database, createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { expect, test as base } from "vitest";

const test = base.extend<{ folder: string }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    await use(folder);
    await rm(folder, { recursive: true, force: true });
  },
});

test("a database closes without an error while another one has its file open", async ({ folder }) => {
  // By another name the same file has a thread of its own, which is to the first what another process is.
  await symlink(folder, join(folder, "alias"));
  const stays = Database.use({ path: join(folder, "jobs.sqlite"), sync: "normal" });
  await stays.ready();
  const errors: Error[] = [];
  for (let n = 0; n < 50; n++) {
    const leaves = Database.use({ path: join(folder, "alias", "jobs.sqlite"), sync: "normal" });
    leaves.on("error", (error) => errors.push(error));
    await leaves.statements([["SELECT 1"]]);
    await leaves.close();
  }
  expect(errors).toEqual([]);
  await stays.close();
});

test("a call that comes while the file is being closed never settles, as on Redis", async ({ folder }) => {
  const backend = createSqliteBackend("q", { connection: { path: join(folder, "jobs.sqlite") } }, {});
  await backend.waitUntilReady();
  const closing = backend.close();
  const late = backend.setQueueMeta({ field: "value" });
  await closing;
  expect(await Promise.race([late, setImmediate("unsettled")])).toBe("unsettled");
});
