import { inspect } from "node:util";
import { EngineUnavailableError, EngineUrlError, TaskQueue, openEngine } from "@taskloom/queue";
import { withoutPassword, withoutPasswords } from "@taskloom/queue/operating";
import { expect, test } from "vitest";
import { freePort } from "../../../test/support/private-redis.ts";

const password = "S3CRET";

test.each([
  ["redis://:S3CRET@h:6379/0", "redis://:***@h:6379/0"],
  ["redis://h?password=S3CRET", "redis://h?password=***"],
  ["rediss://h/1?db=2&sentinelPassword=S3CRET#x", "rediss://h/1?db=2&sentinelPassword=***#x"],
  ["redis://h?p%61ssword=S3CRET", "redis://h?p%61ssword=***"],
  ["redis://ada@corp:S3CRET@h", "redis://ada@corp:***@h"],
  ["redis-cluster://u:S3CRET@a:1,b:2", "redis-cluster://u:***@a:1,b:2"],
  ["postgres://u@h:5432/db", "postgres://u@h:5432/db"],
  ["postgres://h/db?user=u&password=S3CRET", "postgres://h/db?user=u&password=***"],
  ["postgres:///db?host=/tmp&password=S3CRET", "postgres:///db?host=/tmp&password=***"],
  [
    "postgres://u:S3CRET@h/db?application_name=me@corp&sslpassword=S3CRET",
    "postgres://u:***@h/db?application_name=me@corp&sslpassword=***",
  ],
  // None of these can be parsed, or means what was intended: the error that says so shows them.
  ["redis://:a/S3CRET@h", "redis://:***@h"],
  ["redis://u:a#S3CRET@h", "redis://u:***@h"],
  ["redis://u:12?S3CRET@h", "redis://u:***@h"],
  ["redis://h?password=S3CRET@x", "redis://h?password=***"],
  ["redis:u:S3CRET@h", "redis:***@h"],
  ["u:S3CRET@h:6379", "u:***@h:6379"],
  ["S3CRET@h", "***@h"],
  ["embedded:/a@b:c@d", "embedded:/a@b:c@d"],
  ["memory:a:b@c", "memory:a:b@c"],
])("%s is shown without its password", (url, shown) => {
  expect(withoutPassword(url)).toBe(shown);
});

test("URLs within a text lose their passwords, and the text stays as it is", () => {
  expect(withoutPasswords('{"a":"redis://u:S3CRET@h/0, https://h?token=S3CRET","b":"x@y"}')).toBe(
    '{"a":"redis://u:***@h/0, https://h?token=***","b":"x@y"}',
  );
});

test.each([
  `rabbit://u:${password}@h`,
  `redis://u:a/${password}@h`,
  `redis-cluster://u:${password}@h/nodes/0`,
  `postgres://u:a#${password}@h/db`,
  `postgres:u:${password}@h/db`,
])("the error about %s shows no password", (url) => {
  expect(() => new TaskQueue({ engine: url })).toThrow(EngineUrlError);
  expect(messageOf(() => openEngine(url))).not.toContain(password);
});

test("the error about an engine that does not answer shows no password, and its cause does not", async () => {
  const port = await freePort();
  for (const url of [
    `redis://u:${password}@127.0.0.1:${port}`,
    `redis://127.0.0.1:${port}?password=${password}`,
    `redis-cluster://u:${password}@127.0.0.1:${port}`,
    `postgres://u:${password}@127.0.0.1:${port}/db`,
    `postgres://127.0.0.1:${port}/db?user=u&password=${password}`,
  ]) {
    const engine = openEngine(url);
    expect(engine.url).not.toContain(password);
    const error: unknown = await engine.connect().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(EngineUnavailableError);
    expect(inspect(error, { depth: 10 })).not.toContain(password);
    await engine.close();
  }
});

function messageOf(call: () => unknown): string {
  try {
    call();
    return "";
  } catch (error) {
    return inspect(error, { depth: 10 });
  }
}
