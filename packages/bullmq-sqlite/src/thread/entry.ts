import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { Store } from "../store/store.ts";
import { backUp } from "./backup.ts";
import { Housekeeping } from "./housekeeping.ts";
import type { DatabaseReply, DatabaseRequest, OpenOptions, SentResult } from "./messages.ts";
import { OpenRefusal, openDatabase, refusal } from "./open-database.ts";
import { Peers, canShare } from "./peers.ts";
import { inTransaction } from "./transaction.ts";
import { Turns, failureOf } from "./turns.ts";

const port = parentPort!;

function reply(message: DatabaseReply): void {
  port.postMessage(message);
}

async function start(options: OpenOptions): Promise<void> {
  let store: Store;
  let turns: Turns;
  let peers: Peers | undefined;
  try {
    store = new Store(openDatabase(options));
    turns = new Turns(store, reply);
    peers = options.path === ":memory:" ? undefined : await join(options.path, store, turns);
  } catch (error) {
    const { code, message } = refusal(options.path, error);
    reply({ kind: "refused", code, message });
    port.close();
    return;
  }
  turns.peers = peers;
  const housekeeping = options.path === ":memory:" ? undefined : new Housekeeping(store, options.path);
  reply({ kind: "open", sqlite: sqliteVersion(store), processId: store.owner });
  port.on("message", (first: DatabaseRequest) => {
    // Messages that have arrived meanwhile go into the same turn.
    for (let message: DatabaseRequest | undefined = first; message !== undefined; message = received()) {
      if (message.kind === "turn") {
        turns.add(message.operations, message.now);
        continue;
      }
      turns.run();
      switch (message.kind) {
        case "await":
          turns.await(message.id, message.queue, message.claim);
          break;
        case "endAwait":
          turns.endAwait(message.id, message.awaited);
          break;
        case "post":
          peers?.send({ messages: message.messages });
          break;
        case "listen":
          peers?.listen();
          break;
        case "backup":
          runBackup(store, message.id, message.path);
          break;
        case "close":
          housekeeping?.stop();
          close(store, peers);
          return;
      }
    }
    turns.run();
    housekeeping?.turnEnded();
  });
}

function sqliteVersion(store: Store): string {
  return String(store.get("SELECT sqlite_version() AS version")?.["version"]);
}

async function join(path: string, store: Store, turns: Turns): Promise<Peers> {
  const transaction = (body: () => void): void => inTransaction(store, body);
  const peers = Peers.join(path, store, (change) => turns.changed(change), transaction);
  store.owner = peers.id;
  await peers.connected();
  if (peers.others > 0 && !canShare(sqliteVersion(store))) {
    peers.leave(transaction);
    throw new OpenRefusal(
      "SQLITE_ONE_PROCESS",
      `Another process has ${path} open, and SQLite ${sqliteVersion(store)} can damage a file that two processes write: use a Node with SQLite 3.51.3 or later, such as Node 22.23 or 24.21`,
    );
  }
  return peers;
}

function close(store: Store, peers: Peers | undefined): void {
  peers?.leave((body) => inTransaction(store, body));
  store.database.close();
  reply({ kind: "closed" });
  port.close();
}

function received(): DatabaseRequest | undefined {
  return receiveMessageOnPort(port)?.message as DatabaseRequest | undefined;
}

/** Writes a copy outside of any transaction. Operations that are called meanwhile wait. */
function runBackup(store: Store, id: number, path: string): void {
  let result: SentResult = [id, undefined];
  try {
    backUp(store, path);
  } catch (error) {
    result = [id, failureOf(error)];
  }
  reply({ kind: "turn", results: [result], events: [] });
}

await start(workerData as OpenOptions);
