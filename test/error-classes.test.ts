import * as loop from "@taskloom/loop";
import * as offload from "@taskloom/offload";
import * as queue from "@taskloom/queue";
import { expect, test } from "vitest";

const classes = Object.entries({ ...loop, ...offload, ...queue })
  .filter(([, value]) => typeof value === "function" && value.prototype instanceof Error)
  .map(([name, value]) => [name, value as unknown as new () => Error] as const);

test.for(classes)("%s keeps its class where an error crosses threads and machines", ([name, each]) => {
  expect(loop.knownErrorPrototype([name])).toBe(each.prototype);
});
