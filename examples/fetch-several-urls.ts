// Several URLs at once take as long as the slowest. `fetch` receives the task's signal, so a timeout or a
// cancellation also ends the requests. URLs are the arguments; without any, the program requests three pages
// of its own.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { coroutine, currentTask, gather, run, timeout } from "@taskloom/loop";

const fetchText = coroutine(async (url: string) => {
  const response = await fetch(url, { signal: currentTask()?.signal ?? null });
  return await response.text();
});

export async function main(urls: readonly string[]): Promise<void> {
  const pages = await timeout(10_000, () => gather(urls.map((url) => fetchText(url))));
  for (const page of pages) console.log(page.slice(0, 100));
}

if (import.meta.main) {
  const urls = process.argv.slice(2);
  const server = createServer((request, response) => response.end(`This is ${request.url}`));
  if (urls.length === 0) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    for (const page of ["one", "two", "three"]) urls.push(`http://127.0.0.1:${port}/${page}`);
  }
  await run(() => main(urls));
  server.closeAllConnections();
  server.close();
}
