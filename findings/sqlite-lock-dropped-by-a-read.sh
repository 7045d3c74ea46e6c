#!/usr/bin/env bash
# node:sqlite of Node 24.21.0 (SQLite 3.53.4) on Linux: a lock that a process holds, and a plain read of the same file.
#
# POSIX drops all locks of a process on a file when it closes any descriptor of that file. SQLite guards against this
# inside itself; fs.readFileSync of the database in the same process does not pass there, so an exclusive transaction
# goes on in the process that has it, and another process gets the lock as well.
#
# Output seen:
#   another process while the lock is held: database is locked
#   another process after a read of the file: got the lock
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund node@24.21.0
cat >other.mjs <<'JS'
import { DatabaseSync } from "node:sqlite";
const database = new DatabaseSync("lock.sqlite");
try {
  database.exec("BEGIN EXCLUSIVE");
  process.stdout.write("got the lock");
} catch (error) {
  process.stdout.write(error.message);
}
JS
cat >try.mjs <<'JS'
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
const other = () => spawnSync(process.execPath, ["--no-warnings", "other.mjs"], { encoding: "utf8" }).stdout;
const database = new DatabaseSync("lock.sqlite");
database.exec("CREATE TABLE t (x); BEGIN EXCLUSIVE");
const before = other();
readFileSync("lock.sqlite");
const after = other();
console.log(`another process while the lock is held: ${before}`);
console.log(`another process after a read of the file: ${after}`);
process.exit(before === "database is locked" && after === "got the lock" ? 0 : 1);
JS
node_modules/.bin/node --no-warnings try.mjs
