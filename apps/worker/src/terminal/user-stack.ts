/** The files of Taskloom, in an installation and in this repository. */
const OWN =
  /[/\\](?:@taskloom|packages|apps)[/\\](?:loop|offload|queue|workflow|worker|bullmq-sqlite)[/\\](?:src|dist)[/\\]/;

/**
 * Returns a stack as a person reads it: without the lines of Taskloom and of Node, which are the same for each job. The
 * stored stack keeps them.
 */
export function userStack(stack: string): string {
  const lines = stack.split("\n");
  const isForeign = (line: string): boolean =>
    /^\s*at /.test(line) && (OWN.test(line) || line.includes("node:"));
  return lines.filter((line) => !isForeign(line)).join("\n");
}

/** Returns the text of an error of a job: its stack without the lines of Taskloom, or its name and message. */
export function errorText({
  name,
  message,
  stack,
}: {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
}): string {
  return stack === undefined ? `${name}: ${message}` : userStack(stack);
}
