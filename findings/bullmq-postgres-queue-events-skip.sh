#!/usr/bin/env bash
# BullMQ 6.7.0 on PostgreSQL 15: QueueEvents misses events of jobs that end at the same time.
#
# QueueEvents reads the table `event` on from the greatest id that it has seen. Transactions of several workers take their
# ids in one order and commit in another, so an event can become visible behind an id that was read already. Each event is
# stored; a listener that counts ends, or that waits for the end of a job, does not receive all of them.
#
# Output seen (the number of missing events varies):
#   stored 4000 completed events, QueueEvents emitted 3932
#
# Needs a PostgreSQL on 127.0.0.1:5432 that trusts this user, or PGHOST and PGPORT.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund bullmq@6.7.0 pg@8.23.1
cat >try.mjs <<'JS'
import { userInfo } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Queue, QueueEvents, Worker, createPostgresBackend } from "bullmq";
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
const JOBS = 4_000;
const queue = new Queue("q", { connection }, createPostgresBackend);
await queue.waitUntilReady();
const events = new QueueEvents("q", { connection }, createPostgresBackend);
await events.waitUntilReady();
const seen = new Set();
events.on("completed", ({ jobId }) => seen.add(jobId));
await queue.addBulk(Array.from({ length: JOBS }, (_, n) => ({ name: "job", data: { n } })));
const workers = [1, 2, 3].map(() => new Worker("q", async () => "done", { connection, concurrency: 20 }, createPostgresBackend));
const client = new pg.Client({ ...server, database });
await client.connect();
const { rows: [table] } = await client.query("SELECT table_schema AS schema FROM information_schema.tables WHERE table_name = 'event'");
const stored = async () => {
  const { rows } = await client.query(`SELECT count(*)::integer AS n FROM "${table.schema}".event WHERE queue = 'q' AND event = 'completed'`);
  return rows[0].n;
};
while ((await stored()) < JOBS) await delay(200);
await delay(3_000);
const emitted = seen.size;
console.log(`stored ${await stored()} completed events, QueueEvents emitted ${emitted}`);
await Promise.all(workers.map((worker) => worker.close()));
await events.close();
await queue.close();
await client.end();
await delay(1_000);
process.on("uncaughtException", () => {}); // A pool that has ended can still receive an error.
await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
await admin.end();
process.exit(emitted < JOBS ? 0 : 1);
JS
node try.mjs
