// usage: deadlocks.ts DBNAME RUNS JOBS
import { spawn } from "node:child_process";
import { once } from "node:events";
import pg from "pg";
const [db = "taskloom_dl", runs = "3", jobs = "8000"] = process.argv.slice(2);
const admin = new pg.Client({ host: "127.0.0.1", user: "root", database: "postgres" });
await admin.connect();
await admin.query(`DROP DATABASE IF EXISTS ${db} WITH (FORCE)`);
await admin.query(`CREATE DATABASE ${db}`);
const engine = `postgres://root@127.0.0.1:5432/${db}`;
const node = new URL("../node_modules/.bin/node", import.meta.url).pathname;
const worker = spawn(
  node,
  [
    "--conditions=@taskloom/source",
    "--input-type=module",
    "-e",
    `
 import { TaskWorker } from "@taskloom/queue"; import { trivial } from "./dl-tasks.ts";
 const w = new TaskWorker({ engine: "${engine}", tasks: [trivial], onEngineError: (e) => console.error("W", e.code, e.message, e.where?.split("\\n").slice(0,3).join(" | ")) }); w.run(); await w.ready(); console.log("ready");`,
  ],
  { cwd: new URL(".", import.meta.url).pathname, stdio: ["ignore", "pipe", "inherit"] },
);
await once(worker.stdout, "data");
for (let i = 0; i < Number(runs); i++) {
  const client = spawn(
    node,
    [
      "--conditions=@taskloom/source",
      "--input-type=module",
      "-e",
      `
  import { TaskQueue } from "@taskloom/queue"; import { trivial } from "./dl-tasks.ts";
  const q = new TaskQueue({ engine: "${engine}" }); const t0 = performance.now();
  const all = await Promise.allSettled(Array.from({ length: ${jobs} }, (_, n) => q.submit(trivial, n)));
  const bad = all.filter((r) => r.status === "rejected"); console.log("run", ${i}, "done", all.length - bad.length, "bad", bad.length, bad[0]?.reason?.code, bad[0]?.reason?.message, Math.round(performance.now() - t0) + " ms"); process.exit();`,
    ],
    { cwd: new URL(".", import.meta.url).pathname, stdio: "inherit" },
  );
  await once(client, "exit");
}
await new Promise((r) => setTimeout(r, 1500));
console.log(
  "deadlocks:",
  (await admin.query("select deadlocks from pg_stat_database where datname = $1", [db])).rows[0].deadlocks,
);
worker.kill();
await once(worker, "exit");
await admin.query(`DROP DATABASE ${db} WITH (FORCE)`);
process.exit();
