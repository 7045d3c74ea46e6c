// currentTask returns the task that runs this line. allTasks returns the tasks of the loop that are not done,
// without futures that are no tasks.
import { allTasks, createTask, currentTask, gather, getRunningLoop, run, sleep } from "@taskloom/loop";

async function worker(): Promise<void> {
  console.log(`I am ${currentTask()?.getName()}`);
  await sleep(1000);
}

export async function main(): Promise<void> {
  currentTask()?.setName("main");
  getRunningLoop().createFuture();
  createTask(worker, { name: "worker-1" });
  createTask(worker, { name: "worker-2" });
  getRunningLoop().callSoon(() => console.log("in a callback:", currentTask()));
  await sleep(1);

  console.log([...allTasks()].map((task) => task.getName()));
  await gather([...allTasks()].filter((task) => task !== currentTask()));
  console.log([...allTasks()].map((task) => task.getName()));
}

if (import.meta.main) await run(main);
