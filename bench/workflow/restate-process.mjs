// One process of Restate with its services: node restate-process.mjs PEERS ADMIN INGRESS
import { createServer } from "node:http2";
import { Marks, answer, crowd, importPeer, timed } from "./answer.ts";

const [peers, admin, ingress] = process.argv.slice(2);
const { endpoint, service, RestatePromise } = await importPeer(peers, "@restatedev/restate-sdk");
const marks = new Marks();
const mark = () => marks.add();

const bench = service({
  name: "bench",
  handlers: {
    sequential: async (context, count) => {
      for (let n = 0; n < count; n++) await context.run("step", mark);
    },
    together: async (context, count) => {
      await RestatePromise.all(Array.from({ length: count }, () => context.run("step", mark)));
    },
  },
});
const server = createServer(
  endpoint()
    .bind(bench)
    .setLogger(() => {})
    .http2Handler(),
);
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

async function post(url, body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
}
const call = (handler, body) => post(`${ingress}/bench/${handler}`, body);

await post(`${admin}/deployments`, { uri: `http://127.0.0.1:${server.address().port}`, force: true });
answer({
  async steps({ count }) {
    marks.clear();
    await call("sequential", count);
    return marks.between;
  },
  runs: ({ count, steps }) => timed(() => crowd(count, () => call("sequential", steps))),
  gather: ({ count }) => timed(() => call("together", count)),
});
