#!/usr/bin/env bash
# cron-parser 5.10.3 under BullMQ 6.7.0: a daily pattern before Lord Howe's change of half an hour.
#
# The parser raises an error, and BullMQ's default repeat strategy answers it with "no further run": a daily schedule
# stops without a word.
#
# Output seen (0 2 * * *, Australia/Lord_Howe, after 2026-04-03T15:00Z):
#   cron-parser: Invalid expression, loop limit exceeded
#   BullMQ's next run: undefined
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund bullmq@6.7.0 cron-parser@5.10.3
cat >try.mjs <<'JS'
import { CronExpressionParser } from "cron-parser";
import { defaultRepeatStrategy } from "bullmq";
const tz = "Australia/Lord_Howe", pattern = "0 2 * * *", after = Date.parse("2026-04-03T15:00:00Z");
let message = "a run";
try {
  CronExpressionParser.parse(pattern, { currentDate: new Date(after), tz }).next();
} catch (error) {
  message = error.message;
}
console.log(`cron-parser: ${message}`);
const next = await defaultRepeatStrategy(after, { pattern, tz });
console.log(`BullMQ's next run: ${next}`);
process.exit(message.includes("loop limit") && next === undefined ? 0 : 1);
JS
node try.mjs
