// Runs the golden traces without a test runner and ends at the first difference: for the mutants.
import { difference, readGolden } from "./golden.ts";

for (const golden of readGolden().programs) {
  const found = await difference(golden);
  if (!found) continue;
  process.stdout.write(`${found}\n`);
  process.exit(1);
}
process.exit(0);
