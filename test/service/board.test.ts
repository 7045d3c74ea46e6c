import { join } from "node:path";
import { expect } from "vitest";
import manifest from "../../apps/worker/package.json" with { type: "json" };
import { folderTest } from "../support/files.ts";
import { Service } from "./service.ts";

// Other suites use bull-board where it is installed: bounds.test.ts, guard.test.ts and page.test.ts.

folderTest("a service without bull-board names the command that installs it", async ({ folder }) => {
  const hidden = new URL("./fixtures/without-bull-board.ts", import.meta.url).href;
  const engine = `embedded:${join(folder, "data")}`;
  const service = await Service.start(engine, [], { NODE_OPTIONS: `--import=${hidden}` });
  expect(await (await service.ask("GET", "/about")).json()).toMatchObject({ hasBoard: false });
  for (const path of ["/board", "/board/", "/board/api/queues"]) {
    const answer = await service.ask("GET", path);
    expect(answer.status).toBe(404);
    const { code, message } = (await answer.json()) as { code: string; message: string };
    expect(code).toBe("BOARD_NOT_INSTALLED");
    const [, ...wanted] = /npm install (\S+) (\S+)$/.exec(message)!;
    const major = ([name, range]: [string, string]): string => `${name}@${/\d+/.exec(range)![0]}`;
    expect(wanted).toEqual(Object.entries(manifest.peerDependencies).map(major));
  }
  expect((await service.ask("GET", "/")).status).toBe(200);
  await service.stop();
});

folderTest("a service with bull-board says so, and serves it", async ({ folder }) => {
  const service = await Service.start(`embedded:${join(folder, "data")}`);
  expect(await (await service.ask("GET", "/about")).json()).toMatchObject({ hasBoard: true });
  expect(await (await service.ask("GET", "/board/")).text()).toContain("Taskloom jobs");
  await service.stop();
});
