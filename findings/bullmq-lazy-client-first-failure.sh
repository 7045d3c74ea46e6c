#!/usr/bin/env bash
# bullmq 6.7.0 with ioredis 6.0.0 on Redis 7: a queue on a client with `lazyConnect: true`, while the server is down.
#
# ioredis connects again by itself, and the client is ready soon after the server is up. The queue stays unusable for the
# life of the process: BullMQ connects a lazy client itself, once, and keeps the failure of that try for all later
# commands. A queue on the same client without `lazyConnect` works as soon as the server is up.
#
# Output seen:
#   lazy: client ready, PONG; add: Connection is closed.
#   not lazy: client ready, PONG; add: added
set -euo pipefail
folder=$(mktemp -d); trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund bullmq@6.7.0 ioredis@6.0.0
cat >try.mjs <<'JS'
import { setTimeout as delay } from "node:timers/promises";
import { writeFileSync } from "node:fs";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
const [path, started] = process.argv.slice(2);
process.on("unhandledRejection", () => {});
const sides = [true, false].map((lazyConnect) => {
  const client = new Redis({ path, lazyConnect, maxRetriesPerRequest: null, retryStrategy: () => 100 });
  client.on("error", () => {});
  const queue = new Queue("finding", { connection: client });
  queue.on("error", () => {});
  return { name: lazyConnect ? "lazy" : "not lazy", client, queue };
});
await delay(500);
writeFileSync(started, ""); // The server starts now.
const answers = [];
for (const { name, client, queue } of sides) {
  const pong = await client.ping();
  const added = await queue.add("job", {}).then(() => "added", (error) => error.message);
  answers.push(added);
  console.log(`${name}: client ${client.status}, ${pong}; add: ${added}`);
}
process.exit(answers[0] === "Connection is closed." && answers[1] === "added" ? 0 : 1);
JS
node try.mjs "$folder/redis.sock" "$folder/started" & try=$!
until [ -e "$folder/started" ]; do sleep 0.05; done
redis-server --port 0 --unixsocket "$folder/redis.sock" --save '' --appendonly no >/dev/null & server=$!
wait "$try"
