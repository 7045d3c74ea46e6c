#!/usr/bin/env bash
# ioredis 6.0.0 on Redis 7: a command of `defineCommand` inside MULTI, after the server has forgotten its scripts.
#
# Outside a transaction ioredis meets NOSCRIPT by sending the script once more. Inside MULTI the same answer is one of
# EXEC's results, and ioredis goes on to believe that the server has the script: the command fails in every later
# transaction on that connection, until the connection is cut or the command runs once outside a transaction.
#
# Output seen:
#   before the flush: ok
#   transaction 1 after the flush: NOSCRIPT No matching script. Please use EVAL.
#   transaction 2 after the flush: NOSCRIPT No matching script. Please use EVAL.
#   transaction 3 after the flush: NOSCRIPT No matching script. Please use EVAL.
#   alone after the flush: ok
set -euo pipefail
folder=$(mktemp -d); trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund ioredis@6.0.0
redis-server --port 0 --unixsocket "$folder/redis.sock" --save '' --appendonly no >/dev/null & server=$!
cat >try.mjs <<'JS'
import { Redis } from "ioredis";
const client = new Redis({ path: process.argv[2] });
client.defineCommand("answer", { numberOfKeys: 0, lua: "return 'ok'" });
console.log(`before the flush: ${await client.answer()}`);
await client.script("FLUSH");
let failed = 0;
for (let n = 1; n <= 3; n++) {
  const [[error, value]] = await client.multi().answer().exec();
  if (error?.message.startsWith("NOSCRIPT")) failed++;
  const answer = error?.message ?? value;
  console.log(`transaction ${n} after the flush: ${answer}`);
}
const alone = await client.answer();
console.log(`alone after the flush: ${alone}`);
process.exit(failed === 3 && alone === "ok" ? 0 : 1);
JS
until [ -S "$folder/redis.sock" ]; do sleep 0.05; done
node try.mjs "$folder/redis.sock"
