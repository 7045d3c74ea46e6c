// `npm start`: the worker and the web server, as they run in production: two processes. Ctrl-C stops both.
import { spawn } from "node:child_process";

const children = [
  ["node_modules/@taskloom/worker/bin/taskloom.js", "worker"], // as `npx taskloom worker`
  ["src/server.ts"],
].map((args) => spawn(process.execPath, args, { stdio: "inherit" }));

let isStopping = false;
const stop = (): void => {
  if (isStopping) return; // a second signal would end the worker in the middle of its jobs
  isStopping = true;
  for (const child of children) child.kill("SIGTERM");
};
process.on("SIGTERM", stop);
process.on("SIGINT", () => (isStopping = true)); // the terminal sends Ctrl-C to the children, too
for (const child of children) {
  child.once("exit", (code) => {
    process.exitCode ||= code ?? 1;
    stop();
  });
}
