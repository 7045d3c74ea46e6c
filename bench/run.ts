/** `pnpm bench <name>`: runs one bench. It fails when a bound is missed. */
const name = process.argv[2];
if (name === undefined || !/^[a-z-]+$/.test(name)) {
  console.error("Say which bench: pnpm bench offload, pnpm bench loop");
  process.exitCode = 2;
} else {
  await import(`./${name}/index.ts`);
}
