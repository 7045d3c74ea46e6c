import { defineTask } from "@taskloom/queue";

export const add = defineTask({ name: "lifecycle.add" }, async (a: number, b: number) => a + b);
