#!/usr/bin/env bash
# bullmq 6.7.0 on PostgreSQL 15: of several concurrent `upsertJobScheduler` calls of one new id some reject.
#
# An upsert is the call that each process of a service makes at its start, so two processes that start together race. On Redis
# all calls succeed. On PostgreSQL the transactions of the calls lock the same rows in different orders: the server ends some
# of them as victims of a deadlock, and BullMQ rejects these calls in place of repeating them. One scheduler is stored for
# each id, by the calls that succeeded.
#
# Output seen (the counts vary):
#   80 calls for 10 ids: 75 fulfilled, 5 rejected, with 40P01
#   schedulers stored: 10
#
# Needs a PostgreSQL on 127.0.0.1:5432 that trusts this user, or PGHOST and PGPORT. It makes and drops a database.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund bullmq@6.7.0 pg@8.23.1
cat >try.mjs <<'JS'
import { userInfo } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { createPostgresBackend, Queue } from "bullmq";
import pg from "pg";
const server = {
  host: process.env.PGHOST ?? "127.0.0.1",
  port: Number(process.env.PGPORT ?? 5432),
  user: process.env.PGUSER ?? userInfo().username,
};
const admin = new pg.Client({ ...server, database: "postgres" });
await admin.connect();
const database = `finding_${process.pid}`;
await admin.query(`CREATE DATABASE ${database}`);
const connection = { connectionString: `postgres://${server.user}@${server.host}:${server.port}/${database}`, max: 10, migrate: true };
const queues = Array.from({ length: 8 }, () => new Queue("q", { connection }, createPostgresBackend));
for (const queue of queues) await queue.waitUntilReady();
let [fulfilled, codes] = [0, []];
for (let round = 0; round < 10; round++) {
  const calls = await Promise.allSettled(
    queues.map((queue) => queue.upsertJobScheduler(`nightly-${round}`, { every: 3_600_000 }, { name: "job" })),
  );
  for (const { status, reason } of calls) {
    if (status === "fulfilled") fulfilled++;
    else codes.push(reason.code ?? reason.message);
  }
}
const stored = await queues[0].getJobSchedulersCount();
console.log(`80 calls for 10 ids: ${fulfilled} fulfilled, ${codes.length} rejected${codes.length > 0 ? `, with ${[...new Set(codes)].join(", ")}` : ""}`);
console.log(`schedulers stored: ${stored}`);
await Promise.all(queues.map((queue) => queue.close()));
await delay(1_000);
process.on("uncaughtException", () => {}); // A pool that has ended can still receive an error.
await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
await admin.end();
process.exit(codes.length > 0 && stored === 10 ? 0 : 1);
JS
node try.mjs
