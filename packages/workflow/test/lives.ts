import { decodeError } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { exploreCrashes } from "@taskloom/workflow/testing";
import type { ExploreCrashesOptions, Lived } from "@taskloom/workflow/testing";

/** Explores the crashes of one order, and returns the calm life. */
export async function explored<A extends unknown[]>(
  workflow: WorkflowDefinition<A>,
  options: ExploreCrashesOptions<NoInfer<A>> = {},
): Promise<Lived & { readonly value: unknown; readonly error: unknown }> {
  let calm: Lived | undefined;
  await exploreCrashes(workflow, {
    seeds: [1],
    ...options,
    onLived: (lived) => {
      calm = lived;
    },
  });
  const { end } = calm!;
  return {
    ...calm!,
    value: end.state === "completed" ? end.value : undefined,
    error: end.state === "failed" ? decodeError(end.error) : undefined,
  };
}
