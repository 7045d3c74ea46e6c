import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** A fenced block of TypeScript in a text. */
export interface Example {
  readonly code: string;
  /** Its line in the text, from 1. */
  readonly line: number;
}

/** The examples of a text: its ```ts blocks, but for those fenced as ```ts no-run. */
export function examplesIn(text: string): Example[] {
  return [...text.matchAll(/^```ts\n([^]*?)^```/gm)].map((match) => ({
    code: match[1]!,
    line: text.slice(0, match.index).split("\n").length,
  }));
}

export const NEEDS_USING = "`using` is syntax from Node 24 on";
const hasUsing = Number(process.versions.node.split(".")[0]) >= 24;

/** Whether this Node can parse an example: types can be stripped from it, but `using` is syntax from Node 24 on. */
export function canRun(code: string): boolean {
  return hasUsing || !/^\s*(?:await )?using /m.test(code);
}

/** Runs examples, each as a program of its own, in a folder that `dispose` takes away. */
export class ExampleRunner implements Disposable {
  readonly #folder = mkdtempSync(join(root, "test", ".examples-"));

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /**
   * Runs `code`, and gives what it should have printed and did not: a comment at the end of a line that logs is
   * the expected line. White space and commas do not count, since how a list is printed is beside the point.
   */
  async missing(name: string, code: string): Promise<string[]> {
    const printed = bare(await this.#run(name, code));
    const expected = [...code.matchAll(/console\.log\(.*\/\/ (.+)$/gm)].map((match) => match[1]!);
    return expected.filter((line) => !printed.includes(bare(line)));
  }

  #run(name: string, code: string): Promise<string> {
    // Below the repository's root, so that it can import what the repository's packages can.
    const file = join(this.#folder, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.ts`);
    writeFileSync(file, code);
    return new Promise((resolve, reject) => {
      execFile(
        process.execPath,
        ["--conditions=@taskloom/source", "--no-warnings", "--experimental-strip-types", file],
        { timeout: 60_000, cwd: root },
        (error, stdout, stderr) => {
          if (error) reject(new Error(`${name} failed: ${error.message}\n${stderr}`, { cause: error }));
          else resolve(stdout);
        },
      );
    });
  }
}

const bare = (text: string): string => text.replaceAll(/[\s,]/g, "");
