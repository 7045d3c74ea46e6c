#!/usr/bin/env bash
# cron-parser 5.10.3 (the one of BullMQ 6.7.0): midnight patterns in zones whose clocks change at midnight.
#
# Where daylight saving skips 00:00, a pattern for midnight loses the whole day, week or year instead of running at the
# first minute that exists. Cairo, Havana and Beirut change at midnight, too.
#
# Output seen (after 2027-03-27T12:00Z, Atlantic/Azores; the clock goes from 00:00 to 01:00 on 2027-03-28):
#   0 0 * * *    2027-03-29T00:00:00.000Z (local 2027-03-29)
#   0 0 * * SUN  2027-04-04T00:00:00.000Z (local 2027-04-04)
#   0 0 28 3 *   2028-03-28T00:00:00.000Z (local 2028-03-28)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund cron-parser@5.10.3
cat >try.mjs <<'JS'
import { CronExpressionParser } from "cron-parser";
const tz = "Atlantic/Azores";
let lost = 0;
for (const pattern of ["0 0 * * *", "0 0 * * SUN", "0 0 28 3 *"]) {
  const next = CronExpressionParser.parse(pattern, { currentDate: "2027-03-27T12:00:00Z", tz }).next().toDate();
  const local = new Intl.DateTimeFormat("sv", { timeZone: tz }).format(next);
  console.log(`${pattern.padEnd(12)} ${next.toISOString()} (local ${local})`);
  if (local !== "2027-03-28") lost++;
}
process.exit(lost === 3 ? 0 : 1);
JS
node try.mjs
