// The least that a durable step costs: node raw-process.mjs URL. One committed INSERT, or one fenced append to a list of Redis.
import { Redis } from "ioredis";
import pg from "pg";
import { Marks, answer } from "./answer.ts";

const [url] = process.argv.slice(2);
const entry = JSON.stringify([Date.now(), [[1, 0, "1"]], [[2, "s", "bench.step", 1]]]);
const FENCED_APPEND = `
if redis.call("HGET", KEYS[2], "epoch") ~= ARGV[1] then return -1 end
if redis.call("LLEN", KEYS[1]) ~= tonumber(ARGV[2]) then return -2 end
return redis.call("RPUSH", KEYS[1], ARGV[3])`;

async function appendToPostgres() {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("CREATE TABLE IF NOT EXISTS raw_log (seq bigint PRIMARY KEY, entry text NOT NULL)");
  await client.query("TRUNCATE raw_log");
  let seq = 0;
  return () =>
    client.query({ name: "append", text: "INSERT INTO raw_log VALUES ($1, $2)", values: [seq++, entry] });
}

async function appendToRedis() {
  const client = new Redis(url);
  client.defineCommand("fencedAppend", { numberOfKeys: 2, lua: FENCED_APPEND });
  await client.del("raw:log");
  await client.hset("raw:run", "epoch", "1");
  let at = 0;
  return async () => {
    if ((await client.fencedAppend("raw:log", "raw:run", "1", at++, entry)) !== at)
      throw new Error("An append was refused");
  };
}

const append = await (url.startsWith("redis") ? appendToRedis() : appendToPostgres());
const marks = new Marks();
answer({
  async steps({ count }) {
    marks.clear();
    for (let n = 0; n < count; n++) {
      marks.add();
      await append();
    }
    return marks.between;
  },
});
