import type { FlowJob } from "bullmq";
import type { FlowAdder } from "../../contract/lane-queue.ts";
import { placeOfId } from "../../contract/shard-id.ts";
import type { Shards } from "./shards.ts";

/** Adds flows. All jobs of a flow name one shard in their ids, since BullMQ adds them in one step. */
export class ShardedFlows implements FlowAdder {
  readonly #shards: Shards;
  readonly #opened = new Map<number, FlowAdder>();

  constructor(shards: Shards) {
    this.#shards = shards;
  }

  async add(flow: FlowJob): Promise<unknown> {
    const [shard] = this.#shards.candidates(placeOfId(flow.opts!.jobId!));
    let flows = this.#opened.get(shard!);
    if (flows === undefined) this.#opened.set(shard!, (flows = this.#shards.engine(shard!).openFlows()));
    const opened = flows;
    return await this.#shards.ask(shard!, () => opened.add(flow), "write");
  }

  async close(): Promise<void> {
    await Promise.all([...this.#opened.values()].map((flows) => flows.close()));
  }
}
