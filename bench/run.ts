/** `pnpm bench <name>` runs one bench. It fails if a bound is missed. */
const name = process.argv[2];
if (name === undefined || !/^[a-z-]+$/.test(name)) {
  console.error(
    "Expected the name of a bench: pnpm bench loop, io, offload, queue, shards, embedded, workflow or adoption",
  );
  process.exitCode = 2;
} else {
  await import(`./${name}/index.ts`);
}
