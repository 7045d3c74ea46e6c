#!/usr/bin/env bash
# ioredis 6.0.0 on Redis 7: an address with a database number that the server does not have.
#
# The client reports one "error" event ("ERR DB index is out of range"), becomes ready all the same, says that it is in
# the database of the address, and works in database 0. A program that listens to "error" only to keep its process alive
# reads and writes the keys of another program.
#
# Output seen:
#   error event: ERR DB index is out of range
#   status ready, selected 99
#   the key is in database 0: true
set -euo pipefail
folder=$(mktemp -d); trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund ioredis@6.0.0
redis-server --port 0 --unixsocket "$folder/redis.sock" --save '' --appendonly no >/dev/null & server=$!
cat >try.mjs <<'JS'
import { Redis } from "ioredis";
const path = process.argv[2];
const first = new Redis({ path });
await first.ping();
const client = new Redis({ path, db: 99 });
const errors = [];
client.on("error", (error) => errors.push(error.message));
await new Promise((resolve) => client.once("ready", resolve));
await client.set("key", "value");
console.log(`error event: ${errors[0]}`);
console.log(`status ${client.status}, selected ${client.condition?.select}`);
console.log(`the key is in database 0: ${(await first.get("key")) === "value"}`);
process.exit(errors[0] === "ERR DB index is out of range" && client.status === "ready" && (await first.get("key")) === "value" ? 0 : 1);
JS
until [ -S "$folder/redis.sock" ]; do sleep 0.05; done
node try.mjs "$folder/redis.sock"
