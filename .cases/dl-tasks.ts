import { defineTask } from "@taskloom/queue";
export const trivial = defineTask({ name: "trivial" }, async (n: number) => n);
