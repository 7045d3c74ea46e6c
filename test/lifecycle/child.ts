/**
 * `child.ts KIND FOLDER [SERVER]`: opens one kind twice. The first object is stopped in the middle of its start, and the
 * second one after its start. The process has to end by itself afterwards.
 */
import { setImmediate } from "node:timers/promises";
import { kinds } from "./kinds.ts";

const [name, folder, server] = process.argv.slice(2);
const kind = kinds.find((each) => each.name === name)!;
const places = { folder: folder!, ...(server === undefined ? {} : { server }) };

const overtaken = await kind.open(places);
const started = Promise.allSettled([overtaken.start()]);
await setImmediate();
await overtaken.stop();
await started;
await overtaken.release?.();
process.stdout.write("stopped while it started\n");

const used = await kind.open(places);
await used.start();
await used.stop();
await used.release?.();
process.stdout.write("stopped after its start\n");
