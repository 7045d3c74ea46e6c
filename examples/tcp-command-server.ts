// A TCP server with commands: add <number>, multiply <number>, reset, shutdown. Try it: nc 127.0.0.1 8888
//
// The program corrects two errors of the article's version. Data arrives in pieces of any size, so a command
// ends with its line and not with its piece (and an empty line is no command). `loop.stop()` would end `run`
// with an error, because main is not done; closing the server lets main return.
import { getRunningLoop, Protocol, run } from "@taskloom/loop";
import type { ListenAt, Server, Transport } from "@taskloom/loop";

class CommandServerProtocol extends Protocol {
  readonly #shutdown: () => void;
  #transport!: Transport;
  #total = 0;
  #rest = "";

  constructor(shutdown: () => void) {
    super();
    this.#shutdown = shutdown;
  }

  override connectionMade(transport: Transport): void {
    console.log(`Connection from ${transport.getExtraInfo("peername")?.address}`);
    this.#transport = transport;
  }

  override dataReceived(data: Buffer): void {
    const lines = (this.#rest + data.toString("latin1")).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > 1000) {
      this.#transport.write("Line too long.\n");
      this.#transport.close();
    }
    for (const line of lines) this.#answer(line.trim().split(/\s+/));
  }

  #answer([command = "", argument = ""]: string[]): void {
    const number = /^[+-]?\d+$/.test(argument) ? Number(argument) : undefined;
    const say = (text: string): void => this.#transport.write(`${text}\n`);
    if (command === "") return;
    if (command === "add") {
      if (number === undefined) return say("Invalid add command. Usage: add <number>");
      this.#total += number;
      say(`Current total: ${this.#total}`);
    } else if (command === "multiply") {
      if (number === undefined) return say("Invalid multiply command. Usage: multiply <number>");
      this.#total *= number;
      say(`Current total after multiplication: ${this.#total}`);
    } else if (command === "reset") {
      this.#total = 0;
      say("Total has been reset to 0.");
    } else if (command === "shutdown") {
      console.log("Shutting down the server...");
      this.#transport.close();
      this.#shutdown();
    } else {
      say("Unknown command. Available commands: add <number>, multiply <number>, reset, shutdown");
    }
  }

  override connectionLost(): void {
    console.log("Connection closed");
  }
}

export async function main(at: ListenAt = { host: "127.0.0.1", port: 8888 }): Promise<void> {
  const shutdown = (): void => {
    server.close();
    server.closeClients();
  };
  const server: Server = await getRunningLoop().createServer(() => new CommandServerProtocol(shutdown), at);
  for (const { address, port } of server.sockets()) console.log(`Serving on ${address}:${port}`);
  await server.waitClosed();
}

if (import.meta.main) await run(() => main());
