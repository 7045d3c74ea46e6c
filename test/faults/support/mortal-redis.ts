import { Duplex } from "node:stream";

/** One life of a connection: the server executes some commands, sends some of the answers, and closes. */
export interface Life {
  readonly executes: number;
  /** At most the number of executed commands. */
  readonly answers: number;
  /**
   * The number of writes after the end that still seem to succeed, as the first write to a closed TCP
   * connection does.
   */
  readonly swallows: number;
  /** The number of iterations of the event loop after which the client notices the end. */
  readonly noticedAfter: number;
}

/**
 * The part of a Redis server that a client of commands, pipelines and transactions needs, in this process.
 */
export class MortalRedis {
  /** The number of reads of each key by `GET`; the answer is the key itself. */
  readonly executed = new Map<string, number>();
  readonly #lives: Life[];
  #connection: Connection | undefined;
  #isComplete = false;

  constructor(lives: readonly Life[]) {
    this.#lives = [...lives];
  }

  /** The connections after the last life stay open. */
  connect(): Duplex {
    this.#connection = new Connection(this, this.#lives.shift());
    if (this.#isComplete) this.#connection.surviveWhenIdle();
    return this.#connection;
  }

  /** The client has sent its last command. A connection with too few commands for its end survives. */
  complete(): void {
    this.#isComplete = true;
    this.#connection?.surviveWhenIdle();
  }

  /** For ioredis's option of that name. */
  connector(): new () => unknown {
    const connect = (): Duplex => this.connect();
    return class {
      #stream: Duplex | undefined;
      async connect(): Promise<Duplex> {
        return (this.#stream = connect());
      }
      disconnect(): void {
        this.#stream?.destroy();
      }
      check(): boolean {
        return true;
      }
    };
  }

  execute(name: string, key: string): string {
    if (name === "get") this.executed.set(key, (this.executed.get(key) ?? 0) + 1);
    return name === "get" ? `$${key.length}\r\n${key}\r\n` : "+OK\r\n";
  }
}

class Connection extends Duplex {
  readonly #server: MortalRedis;
  readonly #life: Life | undefined;
  #withheld = "";
  #survives = false;
  #text = "";
  #executed = 0;
  #answers = "";
  #transaction: string[] | undefined;
  #isOver = false;
  #swallowed = 0;

  constructor(server: MortalRedis, life: Life | undefined) {
    super();
    this.#server = server;
    this.#life = life;
  }

  // oxlint-disable no-underscore-dangle -- Node's names for what a stream implements
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.#receive(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error) => void): void {
    this.#receive(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _read(): void {}
  // oxlint-enable no-underscore-dangle

  /** A write on a closed connection fails in the same call, as `net.Socket` reports EPIPE. */
  #receive(chunk: Buffer, done: (error?: Error) => void): void {
    if (this.#isOver) {
      if (this.#swallowed++ < (this.#life?.swallows ?? 0)) return done();
      return done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    }
    this.#text += chunk.toString("latin1");
    setImmediate(() => this.#run());
    done();
  }

  setNoDelay(): void {}
  setKeepAlive(): void {}
  setTimeout(): void {}

  #run(): void {
    for (let command = this.#next(); command !== undefined && !this.#isOver; command = this.#next()) {
      const answer = this.#execute(command);
      if (this.#life === undefined || this.#survives || this.#executed < this.#life.answers)
        this.#answers += answer;
      else this.#withheld += answer;
      if (++this.#executed === this.#life?.executes && !this.#survives) this.#end(this.#life.noticedAfter);
    }
    if (this.#answers !== "" && !this.destroyed) this.push(this.#answers);
    this.#answers = "";
  }

  surviveWhenIdle(iterations = 10, executed = this.#executed): void {
    if (this.#isOver) return;
    if (iterations > 0 || executed !== this.#executed) {
      const left = executed === this.#executed ? iterations - 1 : 10;
      setImmediate(() => this.surviveWhenIdle(left, this.#executed));
      return;
    }
    this.#survives = true;
    this.push(this.#withheld);
  }

  #end(noticedAfter: number): void {
    this.#isOver = true;
    if (noticedAfter > 0) setImmediate(() => this.#end(noticedAfter - 1));
    else setImmediate(() => this.destroy());
  }

  #execute([name = "", key = ""]: string[]): string {
    if (name === "multi") this.#transaction = [];
    else if (name === "exec") {
      const keys = this.#transaction ?? [];
      this.#transaction = undefined;
      return `*${keys.length}\r\n${keys.map((each) => this.#server.execute("get", each)).join("")}`;
    } else if (this.#transaction !== undefined) {
      this.#transaction.push(key);
      return "+QUEUED\r\n";
    }
    return this.#server.execute(name, key);
  }

  /** Returns the next whole command: `*2\r\n$3\r\nget\r\n$1\r\nk\r\n`. */
  #next(): string[] | undefined {
    const lines = this.#text.split("\r\n", 1 + 2 * 8);
    const count = Number(lines[0]?.slice(1));
    if (lines.length < 2 + 2 * count) return undefined;
    const parts = Array.from({ length: count }, (_, at) => lines[2 + 2 * at]!);
    this.#text = this.#text.slice(lines.slice(0, 1 + 2 * count).join("\r\n").length + 2);
    return parts.map((part, at) => (at === 0 ? part.toLowerCase() : part));
  }
}
