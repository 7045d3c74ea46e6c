import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../../test/support/private-redis.ts";

/** The time in which Restate's server must answer after its start, in milliseconds. */
const START_LIMIT = 60_000;

/** Starts Restate's server of the peers' folder with its default durability: one node, each record flushed. */
export async function privateRestate(
  peers: string,
): Promise<{ readonly admin: string; readonly ingress: string; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-bench-restate-"));
  const [admin, ingress, node] = [await freePort(), await freePort(), await freePort()];
  const target = `${process.platform}-${process.arch}`;
  const binary = join(peers, `node_modules/@restatedev/restate-server-${target}/bin/restate-server`);
  const server = spawn(binary, ["--no-logo"], {
    stdio: ["ignore", "ignore", "ignore"],
    env: {
      ...process.env,
      RESTATE_BASE_DIR: folder,
      RESTATE_LISTEN_MODE: "tcp",
      RESTATE_DISABLE_TELEMETRY: "true",
      RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
      RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
      RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
      RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
    },
  });
  const gone = new Promise<void>((resolve) => {
    server.once("exit", () => resolve());
    server.once("error", () => resolve());
  });
  const limit = performance.now() + START_LIMIT;
  const answers = async (url: string): Promise<boolean> =>
    await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
  while (
    !(await answers(`http://127.0.0.1:${admin}/health`)) ||
    !(await answers(`http://127.0.0.1:${ingress}/restate/health`))
  ) {
    if (server.exitCode !== null || performance.now() > limit)
      throw new Error(`Restate's server did not start; run ${binary} to see why`);
    await delay(100);
  }
  return {
    admin: `http://127.0.0.1:${admin}`,
    ingress: `http://127.0.0.1:${ingress}`,
    stop: async () => {
      server.kill("SIGKILL");
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
