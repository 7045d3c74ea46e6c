// The first line of `npm start` in a fresh clone: npx fetches pnpm for some seconds before anything else can speak.
import { existsSync } from "node:fs";

if (!existsSync(new URL("../node_modules/.modules.yaml", import.meta.url))) {
  process.stderr.write("taskloom: the first start installs its tools, which takes a minute or less …\n");
}
