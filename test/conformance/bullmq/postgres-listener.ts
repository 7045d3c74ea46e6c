import pg from "pg";

/** A client that receives the notifications of BullMQ's channels. */
export interface Listener {
  /** Returns the channels and texts of the notifications since the last call, each once: PostgreSQL joins equal ones. */
  heard(): Promise<readonly string[]>;
  close(): Promise<void>;
}

export async function listenTo(url: string): Promise<Listener> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  await client.query("LISTEN bullmq_jobs");
  await client.query("LISTEN bullmq_events");
  let names = new Set<string>();
  client.on("notification", ({ channel, payload }) => names.add(`${channel} ${payload}`));
  return {
    async heard() {
      await client.query("SELECT 1"); // The server sends all earlier notifications before its answer.
      const all = [...names].toSorted();
      names = new Set();
      return all;
    },
    close: () => client.end(),
  };
}
