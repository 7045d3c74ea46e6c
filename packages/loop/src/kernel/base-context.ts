import { AsyncResource } from "node:async_hooks";

/** The context in which this module was loaded. Each turn of a loop runs in it, whatever context woke the loop. */
export const baseContext: AsyncResource = new AsyncResource("taskloom.loop");
