// The web server. It submits jobs, waits for some of them, and does short blocking work on threads of its own.
import { timeout } from "@taskloom/loop";
import { toThread } from "@taskloom/offload";
import { TaskQueue } from "@taskloom/queue";
import fastify from "fastify";
import { storeSchedules } from "./schedules.ts";
import { digest, sendMail } from "./tasks.ts";
import { welcome } from "./workflows.ts";

const queue = new TaskQueue({ engine: process.env["TASKLOOM_ENGINE"] ?? "embedded:.taskloom" });
await storeSchedules(queue);

const app = fastify();

// Thread work in the request: the event loop stays free for other requests.
app.get<{ Params: { text: string } }>("/digest/:text", async ({ params }) => ({
  digest: await toThread(digest, params.text),
}));

// A job that the request waits for. After five seconds it is cancelled, wherever it runs.
app.post<{ Params: { to: string } }>("/mail/:to", async ({ params }) => ({
  sent: await timeout(5_000, () => queue.submit(sendMail, params.to, "Hello")),
}));

// A durable run. Its id makes a second sign-up of one address the same run.
app.post<{ Params: { to: string } }>("/sign-up/:to", async ({ params }, reply) => {
  const run = queue.with({ id: `welcome-${params.to}` }).submit(welcome, params.to);
  run.catch(() => {}); // this process does not wait for the end, which may come after its own
  await run.sent();
  return reply.code(202).send({ run: run.id });
});

const stop = async (): Promise<void> => {
  await app.close();
  await queue.close();
};
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stop());

const port = Number(process.env["PORT"] ?? 3_000);
try {
  console.log(`web server: ${await app.listen({ port, host: process.env["HOST"] ?? "127.0.0.1" })}`);
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
  console.error(`port ${port} is in use; end the program that uses it, or set PORT to another port`);
  process.exitCode = 1;
  await stop();
}
