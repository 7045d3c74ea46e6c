import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** A fenced block of TypeScript in a text. */
export interface Example {
  readonly code: string;
  /** Its line in the text, from 1. */
  readonly line: number;
}

/** Returns the ```ts blocks of a text, without those fenced as ```ts no-run. */
export function examplesIn(text: string): Example[] {
  return [...text.matchAll(/^```ts\n([^]*?)^```/gm)].map((match) => ({
    code: match[1]!,
    line: text.slice(0, match.index).split("\n").length,
  }));
}

/** Returns the ```ts blocks of a text that begin with a file name, as in `// tasks.ts`, by that name. */
export function filesIn(text: string): Map<string, string> {
  const blocks = [...text.matchAll(/^```ts(?: no-run)?\n(\/\/ ([\w.-]+\.ts)\b[^]*?)^```/gm)];
  return new Map(blocks.map(([, code, file]) => [file!, code!]));
}

export const NEEDS_USING = "`using` is syntax from Node 24 on";
/** Node's flags for a program that imports the sources of the packages. */
export const NODE_FLAGS: readonly string[] = [
  "--conditions=@taskloom/source",
  "--no-warnings",
  "--experimental-strip-types",
];
const hasUsing = Number(process.versions.node.split(".")[0]) >= 24;

/**
 * Returns whether this Node can parse an example. Node strips types, but `using` is syntax from Node 24 on.
 */
export function canRun(code: string): boolean {
  return hasUsing || !/^\s*(?:await )?using /m.test(code);
}

/** Runs examples, each as a program of its own in a folder of its own, which `dispose` removes. */
export class ExampleRunner implements Disposable {
  // Below the repository's root, so that the programs can import the packages of the repository.
  readonly #folder = mkdtempSync(join(root, "test", ".examples-"));

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /**
   * Runs `code`, and returns the expected lines that it did not print. A comment at the end of a line that logs is an
   * expected line. White space and commas do not count, because Node decides how a list is printed.
   *
   * @param files are stored beside the program, by their names.
   */
  async missing(
    name: string,
    code: string,
    files: ReadonlyMap<string, string> = new Map<string, string>(),
  ): Promise<string[]> {
    const folder = this.folderOf(name, files);
    const program = join(folder, "program.ts");
    writeFileSync(program, code);
    const printed = bare(await this.#run(name, program));
    const expected = [...code.matchAll(/console\.log\(.*\/\/ (.+)$/gm)].map((match) => match[1]!);
    return expected.filter((line) => !printed.includes(bare(line)));
  }

  /** Makes a folder with these files. */
  folderOf(name: string, files: ReadonlyMap<string, string>): string {
    const folder = join(this.#folder, name.replaceAll(/[^a-z0-9]+/gi, "-"));
    mkdirSync(folder);
    for (const [file, text] of files) writeFileSync(join(folder, file), text);
    return folder;
  }

  #run(name: string, program: string): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(
        process.execPath,
        [...NODE_FLAGS, program],
        { timeout: 60_000, cwd: dirname(program) },
        (error, stdout, stderr) => {
          if (error) reject(new Error(`${name} failed: ${error.message}\n${stderr}`, { cause: error }));
          else resolve(stdout);
        },
      );
    });
  }
}

const bare = (text: string): string => text.replaceAll(/[\s,]/g, "");
