#!/usr/bin/env bash
# BullMQ 6.7.0: a Queue that is made while its Redis is down.
#
# With a bounded retryStrategy the first connection fails, and the Queue keeps that refusal: an add after Redis has come
# fails as well, while a new Queue on the same address works.
#
# Output seen:
#   while Redis is down: connect ENOENT …
#   when Redis is there, the same Queue: connect ENOENT …
#   when Redis is there, a new Queue: added
set -euo pipefail
folder=$(mktemp -d); trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund bullmq@6.7.0 ioredis@6.0.0
cat >try.mjs <<'JS'
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { Queue } from "bullmq";
const path = process.argv[2];
const connection = { path, retryStrategy: () => null };
const made = () => new Queue("paint", { connection }).on("error", () => {});
const add = (queue) =>
  Promise.race([
    queue.add("job", {}).then(() => "added", (error) => error.message),
    new Promise((resolve) => setTimeout(resolve, 5_000, "no answer within 5 s")),
  ]);
const queue = made();
console.log(`while Redis is down: ${await add(queue)}`);
const server = spawn("redis-server", ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]);
writeFileSync("pid", String(server.pid));
while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
const same = await add(queue);
console.log(`when Redis is there, the same Queue: ${same}`);
const other = await add(made());
console.log(`when Redis is there, a new Queue: ${other}`);
process.exit(same !== "added" && other === "added" ? 0 : 1);
JS
node try.mjs "$folder/redis.sock"
