import { execFileSync } from "node:child_process";
import { homedir } from "node:os";
import { expect, test } from "vitest";
import { createSubprocess, getRunningLoop, openConnection, Protocol, run, startServer } from "@taskloom/loop";
import type { Process, Server, StreamReader, StreamWriter, Transport } from "@taskloom/loop";
import { certificate, certificatePath, key } from "./certificate.ts";

const local = { host: "127.0.0.1" };
const portOf = (server: Server): number => server.sockets()[0]!.port;

/** Returns the first of the commands that answers, or undefined if none is installed. */
function found(...commands: (readonly [string, ...string[]])[]): string | undefined {
  for (const [command, ...args] of commands) {
    try {
      execFileSync(command, args, { stdio: "ignore" });
      return command;
    } catch {
      // try the next command
    }
  }
  return undefined;
}

const openssl = found(["openssl", "version"]);
const curl = found(["curl", "--version"]);
const socat = found(["socat", "-V"]);
const nc = found(["nc", "-h"]);
const modern = ["-c", "import asyncio, sys; sys.exit(sys.version_info < (3, 11))"] as const;
const python = found(
  ["python3", ...modern],
  [`${homedir()}/.pyenv/versions/3.13.0/bin/python3.13`, ...modern],
);

async function shout(reader: StreamReader, writer: StreamWriter): Promise<void> {
  for await (const line of reader) {
    writer.write(line.toString().toUpperCase());
    await writer.drain();
  }
  writer.close();
  await writer.waitClosed();
}

/** A web server in a few lines on protocols, sufficient for curl. */
class Web extends Protocol {
  #transport!: Transport;
  #head = "";
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Buffer): void {
    this.#head += data.toString();
    if (!this.#head.includes("\r\n\r\n")) return;
    const path = this.#head.split(" ")[1];
    const body = `you asked for ${path}\n`;
    this.#transport.write(
      `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    this.#transport.close();
  }
}

function sClient(server: Server, flags: string): PromiseLike<Process> {
  const args = `s_client -quiet -no_ign_eof -verify_quiet -CAfile ${certificatePath} ${flags}`.split(" ");
  return createSubprocess(openssl!, [...args, "-connect", `127.0.0.1:${portOf(server)}`], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
}

test("openssl s_client talks to a TLS server of ours", async ({ skip }) => {
  skip(openssl === undefined, "there is no openssl here");
  await run(async () => {
    const server = await startServer(shout, { ...local, tls: { key, cert: certificate } });
    const client = await sClient(server, "-verify_return_error -verify_hostname localhost");
    client.stdin!.write("from openssl\n");
    expect((await client.stdout!.readLine()).toString()).toBe("FROM OPENSSL\n");
    await client.communicate();
    server.close();
    await server.waitClosed();
  });
});

test("openssl s_client upgrades a connection with STARTTLS", async ({ skip }) => {
  skip(openssl === undefined, "there is no openssl here");
  await run(async () => {
    const server = await startServer(async (reader, writer) => {
      writer.write("220 ready\r\n");
      await reader.readLine(); // EHLO
      writer.write("250-here\r\n250 STARTTLS\r\n");
      await reader.readLine(); // STARTTLS
      writer.write("220 go ahead\r\n");
      await writer.startTls({ serverSide: true, tls: { key, cert: certificate } });
      await shout(reader, writer);
    }, local);
    const client = await sClient(server, "-starttls smtp");
    client.stdin!.write("over smtp\n");
    let line = "";
    while (!line.startsWith("OVER")) line = (await client.stdout!.readLine()).toString() || "OVER nothing";
    expect(line).toBe("OVER SMTP\n");
    await client.communicate();
    server.close();
    await server.waitClosed();
  });
});

test("curl asks a protocol of ours, in the clear and over TLS", async ({ skip }) => {
  skip(curl === undefined, "there is no curl here");
  await run(async () => {
    for (const tls of [undefined, { key, cert: certificate }]) {
      const server = await getRunningLoop().createServer(() => new Web(), { ...local, tls });
      const url = `${tls === undefined ? "http" : "https"}://localhost:${portOf(server)}/path`;
      const resolve = ["--resolve", `localhost:${portOf(server)}:127.0.0.1`, "--noproxy", "*"];
      const client = await createSubprocess(curl!, ["-sS", ...resolve, "--cacert", certificatePath, url], {
        stdout: "pipe",
        stderr: "pipe",
      });
      const { stdout, stderr } = await client.communicate();
      expect(stderr?.toString()).toBe("");
      expect(stdout?.toString()).toBe("you asked for /path\n");
      server.close();
      await server.waitClosed();
    }
  });
});

test("socat and nc send lines and read the answer", async ({ skip }) => {
  skip(socat === undefined && nc === undefined, "there is neither socat nor nc here");
  await run(async () => {
    const server = await startServer(shout, local);
    const port = `${portOf(server)}`;
    const clients: [string, string[]][] = [];
    if (socat !== undefined) clients.push([socat, ["-", `TCP:127.0.0.1:${port}`]]);
    if (nc !== undefined) clients.push([nc, ["-N", "127.0.0.1", port]]);
    for (const [program, args] of clients) {
      const client = await createSubprocess(program, args, { stdin: "pipe", stdout: "pipe" });
      const { stdout } = await client.communicate("one\ntwo\n");
      expect(stdout?.toString()).toBe("ONE\nTWO\n");
    }
    server.close();
    await server.waitClosed();
  });
});

const pythonClient = `
import asyncio, ssl, sys
async def main(port):
    context = ssl.create_default_context(cafile=sys.argv[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(b"x" * 200_000 + b"\\n")
    await writer.drain()
    line = await reader.readexactly(200_001)
    print(len(line), line[:3].decode())
    writer.close()
    await writer.wait_closed()
asyncio.run(main(int(sys.argv[1])))
`;

const pythonServer = `
import asyncio, sys
class Doubler(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data * 2)
    def eof_received(self): self.transport.write(b"end"); self.transport.close()
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Doubler, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
`;

test("Python's asyncio is a client of ours, over TLS", async ({ skip }) => {
  skip(python === undefined, "there is no Python with asyncio (3.11 or newer) here");
  await run(async () => {
    const server = await startServer(shout, {
      ...local,
      limit: 1 << 20,
      tls: { key, cert: certificate },
    });
    const client = await createSubprocess(
      python!,
      ["-c", pythonClient, `${portOf(server)}`, certificatePath],
      {
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    const { stdout, stderr } = await client.communicate();
    expect(stderr?.toString()).toBe("");
    expect(stdout?.toString()).toBe("200001 XXX\n");
    server.close();
    await server.waitClosed();
  });
});

test("Python's asyncio is a server for ours", async ({ skip }) => {
  skip(python === undefined, "there is no Python with asyncio (3.11 or newer) here");
  await run(function* () {
    const child = yield* createSubprocess(python!, ["-c", pythonServer], { stdout: "pipe" });
    const port = Number((yield* child.stdout!.readLine()).toString());
    const { reader, writer } = yield* openConnection({ ...local, port });
    writer.write("ab");
    expect((yield* reader.readExactly(4)).toString()).toBe("abab");
    writer.writeEof();
    expect((yield* reader.read()).toString()).toBe("end");
    writer.close();
    yield* writer.waitClosed();
    child.kill();
    yield* child.wait();
  });
});
