import type { WorkflowDefinition } from "../definition/workflow-definition.ts";

/** One of so many runs is checked. A replay costs about a twentieth of what the run has cost. */
const ONE_OF = 16;

/** Decides which runs are replayed for a check of their code. */
export class Checks {
  readonly #counts = new Map<string, number>();

  /** Returns whether the run that just parks or ends is to be replayed: the first of each workflow is one. */
  isDue({ task, workflow }: WorkflowDefinition): boolean {
    if (workflow.check !== "sampled") return workflow.check === "always";
    const count = this.#counts.get(task.name) ?? 0;
    this.#counts.set(task.name, count + 1);
    return count % ONE_OF === 0;
  }
}
