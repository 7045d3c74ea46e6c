// One process of DBOS: node dbos-process.mjs PEERS URL. It recovers the runs of the process before it, as each start of DBOS.
import { Marks, answer, crowd, importPeer, timed } from "./answer.ts";

const [peers, url] = process.argv.slice(2);
const { DBOS } = await importPeer(peers, "@dbos-inc/dbos-sdk");
const marks = new Marks();
const mark = async () => marks.add();

const sequential = DBOS.registerWorkflow(
  async (count) => {
    for (let n = 0; n < count; n++) await DBOS.runStep(mark, { name: "step" });
  },
  { name: "sequential" },
);
const together = DBOS.registerWorkflow(
  async (count) => {
    await Promise.all(Array.from({ length: count }, () => DBOS.runStep(mark, { name: "step" })));
  },
  { name: "together" },
);
const hanging = DBOS.registerWorkflow(
  async (count) => {
    const from = performance.now();
    for (let n = 0; n < count; n++) await DBOS.runStep(mark, { name: "step" });
    await DBOS.runStep(
      async () => {
        process.send({ hanging: performance.now() - from });
        await new Promise(() => {});
      },
      { name: "last" },
    );
  },
  { name: "hanging" },
);

DBOS.setConfig({
  name: "bench",
  systemDatabaseUrl: url,
  logLevel: "error",
  applicationVersion: "1",
  executorID: "bench",
});
await DBOS.launch();
answer({
  async steps({ count }) {
    marks.clear();
    await sequential(count);
    return marks.between;
  },
  runs: ({ count, steps }) => timed(() => crowd(count, () => sequential(steps))),
  gather: ({ count }) => timed(() => together(count)),
  async hang({ count }) {
    await DBOS.startWorkflow(hanging)(count);
    return {};
  },
});
