// Echo servers, 51 connections with a message of 1 KB under way each, and 10,000 idle connections: Taskloom
// beside raw node:net, Python's asyncio and uvloop, each in a process of its own, in alternating rounds.
// `pnpm bench io [rounds]`. What is compared is the median of the rounds' ratios. Exits with 1 when a bound is missed.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

const rounds = Number(process.argv[3] ?? process.argv[2] ?? 5) || 5;
const CONNECTIONS = 51;
const CLIENTS = 3; // processes of load: one alone would be what is measured
const SIZE = 1024;
const DURATION = 1500;
const IDLE = 10_000;

const node = [process.execPath, "--expose-gc", "--conditions=@taskloom/source"] as const;
const server = join(import.meta.dirname, "echo-server.ts");
const pythons = [process.env["TASKLOOM_PYTHON"] ?? "python3.13", "python3"];
const python = pythons.find((name) => runs(name, "import sys; assert sys.version_info >= (3, 12)"));

function runs(program: string, source: string): boolean {
  return spawnSync(program, ["-c", source], { stdio: "ignore" }).status === 0;
}

const servers = new Map<string, string[]>([
  ["node:net", [...node, server, "net"]],
  ["Protocol", [...node, server, "protocol"]],
  ["streams, async", [...node, server, "streams"]],
  ["streams, generator", [...node, server, "streams (generator)"]],
]);
if (python === undefined) console.log("asyncio: left out, there is no Python 3.12 or newer here");
else {
  const script = join(import.meta.dirname, "echo-server.py");
  servers.set("asyncio Protocol", [python, script, "protocol"]);
  servers.set("asyncio streams", [python, script, "streams"]);
  if (runs(python, "import uvloop")) {
    servers.set("uvloop Protocol", [python, script, "protocol", "uvloop"]);
    servers.set("uvloop streams", [python, script, "streams", "uvloop"]);
  } else console.log("uvloop: left out, it is not installed");
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

/** Processor time that a process has used, in milliseconds, where the system tells. */
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

/** Messages a second, and the server's microseconds of processor a message. */
async function echo(command: readonly string[]): Promise<{ perSecond: number; cpu: number }> {
  const started = await start(command);
  const clients = Array.from({ length: CLIENTS }, () => {
    const args = [started.port, CONNECTIONS / CLIENTS, DURATION, SIZE].map(String);
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

/** What 10,000 idle connections add to a server's memory, in KB a connection. */
async function idle(command: readonly string[]): Promise<number> {
  const started = await start(command);
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
          socket.write("hello"); // as a connection is that was used and now waits
          await new Promise((resolve) => socket.once("data", resolve));
        }),
      );
    }
  };
  await open(500); // what the first connections cost is not theirs
  const before = await measure();
  await open(500 + IDLE);
  const after = await measure();
  for (const socket of sockets) socket.destroy();
  await started.stop();
  return (after - before) / IDLE / 1024;
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const speeds = new Map<string, { perSecond: number[]; cpu: number[] }>();
for (let round = 0; round < rounds; round++) {
  for (const [name, command] of servers) {
    const { perSecond, cpu } = await echo(command);
    const speed = speeds.get(name) ?? { perSecond: [], cpu: [] };
    speeds.set(name, speed);
    speed.perSecond.push(perSecond);
    speed.cpu.push(cpu);
  }
}

const speedOf = (name: string): number => median(speeds.get(name)?.perSecond ?? []);
/** The median of the rounds' ratios: the machine's load changes from round to round, and cancels out within one. */
function ratio(name: string, peer: string): number {
  const peers = speeds.get(peer)?.perSecond ?? [];
  return median(
    (speeds.get(name)?.perSecond ?? []).map((speed, round) => speed / (peers[round] ?? Number.NaN)),
  );
}
console.log(`\necho, ${CONNECTIONS} connections, 1 KB, median of ${rounds} rounds\n`);
console.log("| server | messages/s | of node:net | server CPU, µs a message |\n| --- | ---: | ---: | ---: |");
for (const [name, { cpu }] of speeds) {
  const speed = speedOf(name);
  console.log(
    `| ${name} | ${speed.toFixed(0)} | ${ratio(name, "node:net").toFixed(2)} | ${median(cpu).toFixed(1)} |`,
  );
}

const memory = new Map<string, number>();
for (const name of ["node:net", "Protocol", "streams, async", "streams, generator"]) {
  const measured: number[] = [];
  for (let i = 0; i < 3; i++) measured.push(await idle(servers.get(name) ?? []));
  memory.set(name, median(measured));
}
const rawMemory = memory.get("node:net") ?? Number.NaN;
console.log(`\n${IDLE} idle connections, median of 3\n`);
console.log("| server | KB a connection | of node:net |\n| --- | ---: | ---: |");
for (const [name, kb] of memory) {
  console.log(`| ${name} | ${kb.toFixed(2)} | ${(kb / rawMemory).toFixed(2)} |`);
}

const bounds: [what: string, value: number, isMet: (value: number) => boolean, bound: string][] = [
  ["Protocol / node:net", ratio("Protocol", "node:net"), (value) => value >= 0.95, ">= 0.95"],
  ["streams, async / node:net", ratio("streams, async", "node:net"), (value) => value >= 0.7, ">= 0.7"],
  [
    "streams, generator / node:net",
    ratio("streams, generator", "node:net"),
    (value) => value >= 0.7,
    ">= 0.7",
  ],
  [
    "memory, Protocol / node:net",
    (memory.get("Protocol") ?? 0) / rawMemory,
    (value) => value <= 1.2,
    "<= 1.2",
  ],
];
if (python !== undefined) {
  const protocols = ratio("Protocol", "asyncio Protocol");
  const streams = ratio("streams, async", "asyncio streams");
  bounds.push(
    ["Protocol / asyncio Protocol", protocols, (value) => value >= 2, ">= 2"],
    ["streams, async / asyncio streams", streams, (value) => value >= 2, ">= 2"],
  );
}
console.log("\n| bound | measured | |\n| --- | ---: | --- |");
for (const [what, value, isMet, bound] of bounds) {
  const met = isMet(value);
  if (!met) process.exitCode = 1;
  console.log(`| ${what} ${bound} | ${value.toFixed(2)} | ${met ? "met" : "MISSED"} |`);
}
