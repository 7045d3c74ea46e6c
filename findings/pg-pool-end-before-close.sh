#!/usr/bin/env bash
# pg 8.23.1 (pg-pool 3.14) on PostgreSQL 15: `await pool.end()` resolves before the pool's connections are closed.
#
# The pool forgets a client first and then closes it, and `end` waits only until no client is left that it knows of. The
# server can still send an error to a pool that has "ended", for instance when the database is dropped with FORCE right
# after: that emits `error` on the pool, and ends a process in which nobody listens for it.
#
# Output seen:
#   end() resolved: the client is open
#   a moment later: the client is closed
#
# Needs a PostgreSQL on 127.0.0.1:5432 that trusts this user, or PGHOST and PGPORT.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund pg@8.23.1
cat >try.mjs <<'JS'
import { userInfo } from "node:os";
import { once } from "node:events";
import pg from "pg";
const pool = new pg.Pool({
  host: process.env.PGHOST ?? "127.0.0.1",
  port: Number(process.env.PGPORT ?? 5432),
  user: process.env.PGUSER ?? userInfo().username,
  database: "postgres",
});
let isOpen = false;
let closed;
pool.on("connect", (client) => {
  isOpen = true;
  closed = once(client, "end").then(() => (isOpen = false));
});
await pool.query("SELECT 1");
await pool.end();
const wasOpen = isOpen;
console.log(`end() resolved: the client is ${isOpen ? "open" : "closed"}`);
await closed;
console.log(`a moment later: the client is ${isOpen ? "open" : "closed"}`);
process.exit(wasOpen && !isOpen ? 0 : 1);
JS
node try.mjs
