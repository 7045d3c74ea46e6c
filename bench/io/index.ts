// Echo servers with 51 connections that each keep a message of 1 KB in flight, and with 10,000 idle
// connections. Taskloom runs beside raw node:net, Python's asyncio and uvloop, each in a process of its own,
// in alternating rounds: `pnpm bench io [rounds]`. The result is the median of the rounds' ratios. Where the
// system reports processor time, the ratio is of messages per second of the server's processor time; the
// clients' speed and other load on the machine would limit a fast server otherwise. Exits with 1 if a bound
// is missed.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findPython } from "../find-python.ts";

const rounds = Number(process.argv[3] ?? process.argv[2] ?? 5) || 5;
const CONNECTIONS = 51;
const CLIENTS = 3; // processes of load: a single one would limit the result
const SIZE = 1024;
const DURATION = 1500;
const IDLE = 10_000;

const node = [process.execPath, "--expose-gc", "--conditions=@taskloom/source"] as const;
const server = join(import.meta.dirname, "echo-server.ts");
/** The number of commands that a client sends at once to the servers whose name begins with "requests". */
const PIPELINED = 16;
const servers = new Map<string, string[]>([
  ["node:net", [...node, server, "net"]],
  ["Protocol", [...node, server, "protocol"]],
  ["streams, async", [...node, server, "streams"]],
  ["streams, generator", [...node, server, "streams (generator)"]],
  ["requests, node:net", [...node, server, "requests, net"]],
  ["requests, promises", [...node, server, "requests, promises"]],
  ["requests, streams, async", [...node, server, "requests, streams"]],
  ["requests, streams, generator", [...node, server, "requests, streams (generator)"]],
]);
const script = join(import.meta.dirname, "echo-server.py");
for (const kind of ["asyncio", "uvloop"] as const) {
  const python = findPython(kind);
  if (python === undefined) {
    console.log(`${kind}: left out, because no Python with it was found (TASKLOOM_PYTHON)`);
    continue;
  }
  console.log(`${kind}: Python ${python.version}`);
  servers.set(`${kind} Protocol`, [python.command, script, "protocol", kind]);
  servers.set(`${kind} streams`, [python.command, script, "streams", kind]);
}

interface Started {
  readonly process: ChildProcess;
  readonly port: number;
  line(): Promise<string>;
  stop(): Promise<void>;
}

async function start(command: readonly string[]): Promise<Started> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => String((await lines.next()).value);
  return {
    process: child,
    port: Number(await line()),
    line,
    async stop() {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end();
      await exited;
    },
  };
}

/** Returns the processor time of a process in milliseconds, if the system reports it. */
function cpuTime(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return Number.NaN;
  }
}

/** Returns messages per second, and the server's microseconds of processor time for each message. */
async function echo(
  command: readonly string[],
  pipelined: number,
): Promise<{ perSecond: number; cpu: number }> {
  const started = await start(command);
  const clients = Array.from({ length: CLIENTS }, () => {
    const args = [started.port, CONNECTIONS / CLIENTS, DURATION, SIZE, pipelined].map(String);
    return spawn(process.execPath, [join(import.meta.dirname, "echo-client.ts"), ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  });
  let began = Number.NaN;
  let perSecond = 0;
  let used = 0;
  await Promise.all(
    clients.map(async (client) => {
      for await (const line of createInterface({ input: client.stdout })) {
        if (line === "warm") {
          if (Number.isNaN(began)) began = cpuTime(started.process.pid!);
        } else {
          perSecond += Number(line);
          used = Math.max(used, cpuTime(started.process.pid!) - began);
        }
      }
    }),
  );
  await started.stop();
  return { perSecond, cpu: (used * 1000) / ((perSecond * DURATION) / 1000) };
}

/** Returns the memory that 10,000 idle connections add to a server, in KB for each connection. */
async function idle(command: readonly string[]): Promise<number> {
  const [program = "", ...args] = command;
  // V8's room for new objects grows in steps of megabytes. A small room does not hide the memory of
  // connections.
  const started = await start([program, "--max-semi-space-size=1", ...args]);
  const measure = async (): Promise<number> => {
    started.process.kill("SIGUSR2");
    return (JSON.parse(await started.line()) as { rss: number }).rss;
  };
  const sockets: Socket[] = [];
  const open = async (count: number): Promise<void> => {
    while (sockets.length < count) {
      await Promise.all(
        Array.from({ length: 100 }, async () => {
          const socket = createConnection(started.port, "127.0.0.1");
          sockets.push(socket);
          await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
          socket.write("hello"); // like a connection that was used and now waits
          await new Promise((resolve) => socket.once("data", resolve));
        }),
      );
    }
  };
  await open(2500); // the first connections also pay for compiled code and growing tables
  const before = await measure();
  await open(2500 + IDLE);
  const after = await measure();
  for (const socket of sockets) socket.destroy();
  await started.stop();
  return (after - before) / IDLE / 1024;
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

interface Speeds {
  readonly perSecond: number[];
  readonly perCpuSecond: number[];
}
const speeds = new Map<string, Speeds>(
  [...servers.keys()].map((name) => [name, { perSecond: [], perCpuSecond: [] }]),
);
for (let round = 0; round < rounds; round++) {
  for (const [name, command] of servers) {
    const { perSecond, cpu } = await echo(command, isRequests(name) ? PIPELINED : 0);
    speeds.get(name)?.perSecond.push(perSecond);
    speeds.get(name)?.perCpuSecond.push(1_000_000 / cpu);
  }
}

function isRequests(name: string): boolean {
  return name.startsWith("requests");
}

/**
 * Returns the median of the rounds' ratios. The machine's load changes between rounds and cancels out within
 * a round.
 */
function ratio(name: string, peer: string, of: keyof Speeds): number {
  const peers = speeds.get(peer)?.[of] ?? [];
  return median((speeds.get(name)?.[of] ?? []).map((speed, round) => speed / (peers[round] ?? Number.NaN)));
}

console.log(
  `\necho, ${CONNECTIONS} connections, 1 KB; requests of Redis' protocol, ${PIPELINED} at once; median of ${rounds} rounds\n`,
);
console.log("| server | messages/s | of node:net | messages/s of processor time | of node:net |");
console.log("| --- | ---: | ---: | ---: | ---: |");
for (const [name, { perSecond, perCpuSecond }] of speeds) {
  const cells = [
    median(perSecond).toFixed(0),
    ratio(name, isRequests(name) ? "requests, node:net" : "node:net", "perSecond").toFixed(2),
    median(perCpuSecond).toFixed(0),
    ratio(name, isRequests(name) ? "requests, node:net" : "node:net", "perCpuSecond").toFixed(2),
  ];
  console.log(`| ${name} | ${cells.join(" | ")} |`);
}

const memory = new Map<string, number>();
for (const name of ["node:net", "Protocol", "streams, async", "streams, generator"]) {
  const measured: number[] = [];
  for (let i = 0; i < 3; i++) measured.push(await idle(servers.get(name) ?? []));
  memory.set(name, median(measured));
}
const rawMemory = memory.get("node:net") ?? Number.NaN;
console.log(`\n${IDLE} idle connections, median of 3\n`);
console.log("| server | KB per connection | of node:net |\n| --- | ---: | ---: |");
for (const [name, kb] of memory) {
  console.log(`| ${name} | ${kb.toFixed(2)} | ${(kb / rawMemory).toFixed(2)} |`);
}

const knowsCpu = !Number.isNaN(median(speeds.get("node:net")?.perCpuSecond ?? []));
const bounds: [what: string, value: number, isMet: (value: number) => boolean, bound: string][] = [];
function atLeast(name: string, peer: string, bound: number): void {
  if (!servers.has(peer)) return;
  const value = ratio(name, peer, knowsCpu ? "perCpuSecond" : "perSecond");
  bounds.push([`${name} / ${peer}`, value, (measured) => measured >= bound, `>= ${bound}`]);
}
atLeast("Protocol", "node:net", 0.95);
atLeast("streams, async", "node:net", 0.7);
atLeast("streams, generator", "node:net", 0.7);
atLeast("Protocol", "asyncio Protocol", 2);
atLeast("streams, async", "asyncio streams", 2);
atLeast("streams, generator", "asyncio streams", 2);
/** Adds a bound: at most `bound` times the peer's processor time. */
function costsAtMost(name: string, peer: string, bound: number): void {
  const value = 1 / ratio(name, peer, knowsCpu ? "perCpuSecond" : "perSecond");
  bounds.push([
    `${name}: times the processor time of ${peer}`,
    value,
    (measured) => measured <= bound,
    `<= ${bound}`,
  ]);
}
costsAtMost("requests, streams, generator", "requests, node:net", 1.6);
// With eight awaits for each command, bare native promises alone cost more than 1.6 times node:net.
costsAtMost("requests, streams, async", "requests, promises", 1.4);
const memoryRatio = (memory.get("Protocol") ?? Number.NaN) / rawMemory;
bounds.push(["memory, Protocol / node:net", memoryRatio, (value) => value <= 1.2, "<= 1.2"]);

console.log("\n| bound | measured | |\n| --- | ---: | --- |");
for (const [what, value, isMet, bound] of bounds) {
  const met = isMet(value);
  if (!met) process.exitCode = 1;
  console.log(`| ${what} ${bound} | ${value.toFixed(2)} | ${met ? "met" : "MISSED"} |`);
}
