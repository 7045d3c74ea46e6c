import type { Operation } from "./operation.ts";
import type { Answer } from "./side.ts";

/** The jobs that a sequence has met, by the answers to its operations. The generator chooses from them. */
export class Book {
  readonly known = new Set<string>();
  /** The claimed jobs, and the tokens of their locks. */
  readonly held = new Map<string, string>();

  record(operation: Operation, { results, claimed }: Answer): void {
    if (operation.kind === "add") {
      for (const id of results) if (typeof id === "string") this.known.add(id);
    } else if (operation.kind === "flow") {
      const { lane, opts, children } = operation.flow;
      for (const each of [...(lane === "main" ? [opts] : []), ...children.map((child) => child.opts)])
        if (typeof each["jobId"] === "string") this.known.add(each["jobId"]);
    } else if (operation.kind === "turn") {
      for (const [at, { id }] of operation.ends.entries()) if (results[at] === null) this.held.delete(id);
      for (const { id } of claimed) {
        this.known.add(id);
        this.held.set(id, operation.claim!.token);
      }
    } else if (operation.kind === "put back" || operation.kind === "retry later") {
      if (results[0] === null) this.held.delete(operation.id);
    }
  }
}
