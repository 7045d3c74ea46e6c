#!/usr/bin/env bash
# @fastify/rate-limit 11.2.0 with its memory store, fastify 5.12.8: requests that arrive in one turn of the event loop are all
# judged by the count of the last of them.
#
# The store hands every request of a client the same record, and each request reads it after the others have counted up. With
# 2 requests left, a burst of 4 is refused as a whole: the 2 that fit are refused, too. With enough left, all answers of a
# burst have the same `x-ratelimit-remaining`.
#
# Output seen:
#   a burst of 4 with a limit of 6: 200 200 200 200, remaining 2 2 2 2
#   a burst of 4 with 2 left: 429 429 429 429
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund fastify@5.12.8 @fastify/rate-limit@11.2.0
cat >try.mjs <<'JS'
import rateLimit from "@fastify/rate-limit";
import Fastify from "fastify";
const app = Fastify();
await app.register(rateLimit, { max: 6, timeWindow: 60_000 });
app.get("/", async () => "ok");
await app.ready();
const burst = () => Promise.all(Array.from({ length: 4 }, () => app.inject("/")));
const first = await burst();
const codes = (answers) => answers.map(({ statusCode }) => statusCode).join(" ");
const remaining = first.map(({ headers }) => headers["x-ratelimit-remaining"]).join(" ");
console.log(`a burst of 4 with a limit of 6: ${codes(first)}, remaining ${remaining}`);
const second = await burst();
console.log(`a burst of 4 with 2 left: ${codes(second)}`);
await app.close();
process.exit(remaining === "2 2 2 2" && codes(second) === "429 429 429 429" ? 0 : 1);
JS
node try.mjs
