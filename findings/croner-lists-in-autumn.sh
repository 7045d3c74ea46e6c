#!/usr/bin/env bash
# croner 11.0.1: the hour that comes twice, for one hour and for a list of hours.
#
# A pattern with one fixed time runs once in the hour that daylight saving repeats; the same time in a list of hours runs
# in both of them.
#
# Output seen (Europe/Berlin, 2026-10-25, runs between 00:00Z and 02:00Z):
#   30 2 * * *    1 run
#   30 1,2 * * *  2 runs at 02:30 local
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund croner@11.0.1
cat >try.mjs <<'JS'
import { Cron } from "croner";
const timezone = "Europe/Berlin";
const runsAtHalfPastTwo = (pattern) => {
  const cron = new Cron(pattern, { timezone, paused: true });
  const local = new Intl.DateTimeFormat("sv", { timeZone: timezone, hour: "2-digit", minute: "2-digit" });
  return cron
    .nextRuns(6, new Date("2026-10-24T21:00:00Z"))
    .filter((run) => run < new Date("2026-10-25T03:00:00Z") && local.format(run) === "02:30").length;
};
const one = runsAtHalfPastTwo("30 2 * * *");
const list = runsAtHalfPastTwo("30 1,2 * * *");
console.log(`30 2 * * *    ${one} run`);
console.log(`30 1,2 * * *  ${list} runs at 02:30 local`);
process.exit(one === 1 && list === 2 ? 0 : 1);
JS
node try.mjs
