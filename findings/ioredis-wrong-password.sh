#!/usr/bin/env bash
# ioredis 6.0.0 on Redis 7 with a password: connect() with a wrong one.
#
# connect() rejects with "Connection is closed.", which names no reason; the server's answer (WRONGPASS) reaches only
# the "error" event. A program that awaits connect() and prints its error sends its operator to the network.
#
# Output seen:
#   connect(): Connection is closed.
#   error event: WRONGPASS invalid username-password pair or user is disabled.
set -euo pipefail
folder=$(mktemp -d); trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund ioredis@6.0.0
redis-server --port 0 --unixsocket "$folder/redis.sock" --requirepass right --save '' --appendonly no >/dev/null & server=$!
cat >try.mjs <<'JS'
import { Redis } from "ioredis";
const client = new Redis({ path: process.argv[2], password: "wrong", lazyConnect: true, retryStrategy: () => null });
const events = [];
client.on("error", (error) => events.push(error.message));
const rejected = await client.connect().then(() => "connected", (error) => error.message);
await new Promise((resolve) => setTimeout(resolve, 100));
console.log(`connect(): ${rejected}`);
console.log(`error event: ${events[0]}`);
process.exit(rejected === "Connection is closed." && events[0]?.startsWith("WRONGPASS") ? 0 : 1);
JS
until [ -S "$folder/redis.sock" ]; do sleep 0.05; done
node try.mjs "$folder/redis.sock"
