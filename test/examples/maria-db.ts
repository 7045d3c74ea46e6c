import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createConnection } from "mysql2/promise";

/** A database in a real MariaDB: the machine's server, or a new one for the test. */
export interface TestDatabase {
  readonly uri: string;
  close(): Promise<void>;
}

const machines = { host: "127.0.0.1", port: 3306, user: "root" };

/** Creates a database with a table of users; undefined if there is no MariaDB. */
export async function testDatabase(): Promise<TestDatabase | undefined> {
  const name = `taskloom_examples_${process.pid}`;
  const started = (await answers(machines)) ? undefined : await startServer();
  const at = started?.at ?? machines;
  if (started === undefined && !(await answers(machines))) return undefined;
  const connection = await createConnection(at);
  await connection.query(`CREATE DATABASE ${name}`);
  await connection.query(`CREATE TABLE ${name}.users (id INT PRIMARY KEY, name VARCHAR(40))`);
  await connection.query(`INSERT INTO ${name}.users VALUES (1, 'Ada'), (2, 'Grace')`);
  return {
    uri: `mysql://root@${at.host}:${at.port}/${name}`,
    async close() {
      await connection.query(`DROP DATABASE ${name}`);
      await connection.end();
      await started?.stop();
    },
  };
}

async function answers(at: typeof machines): Promise<boolean> {
  try {
    const connection = await createConnection({ ...at, connectTimeout: 2000 });
    await connection.end();
    return true;
  } catch {
    return false;
  }
}

async function startServer(): Promise<{ at: typeof machines; stop(): Promise<void> } | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "taskloom-mariadb-"));
  const at = { ...machines, port: 20_000 + (process.pid % 20_000) };
  let server: ChildProcess;
  try {
    const common = ["--no-defaults", `--datadir=${folder}`, `--user=${userInfo().username}`];
    execFileSync("mariadb-install-db", [...common, "--auth-root-authentication-method=normal"], {
      stdio: "ignore",
    });
    const flags = [`--port=${at.port}`, "--bind-address=127.0.0.1", `--socket=${folder}/s`];
    server = spawn("mariadbd", [...common, ...flags], { stdio: "ignore" });
  } catch {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
  const stop = async (): Promise<void> => {
    const exited = new Promise((resolve) => server.once("exit", resolve));
    if (server.kill()) await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  server.on("error", () => {});
  for (let i = 0; i < 100; i++) {
    if (await answers(at)) return { at, stop };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  return undefined;
}
