import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { out } from "../terminal/output.ts";
import { version } from "../version.ts";

/** The files of a new project. They lie beside `src` and `dist`, and are part of the package. */
const TEMPLATE = fileURLToPath(new URL("../../template/", import.meta.url));

/** Runs `taskloom init`, which writes the files of a new project into a folder. */
export async function initCommand(directory: string): Promise<number> {
  const target = resolve(directory);
  const files = await templateFiles();
  const existing = await filesIn(target);
  const kept = files.filter(({ path }) => existing.has(path)).map(({ path }) => path);
  if (kept.length > 0) {
    throw new CliFailure(
      "INIT_FOLDER",
      `${target} has files that a new project would replace (${kept.slice(0, 3).join(", ")}); name another folder: taskloom init DIR`,
      { exitCode: EXIT_CODES.usage },
    );
  }
  for (const { path, text } of files) {
    const file = join(target, path);
    await mkdir(dirname(file), { recursive: true });
    // `wx`: a file that another process has made since the check is an error, and is kept.
    await writeFile(file, path === "package.json" ? manifest(text, target) : text, { flag: "wx" });
  }
  out(`A Taskloom project is in ${target}. Next:`);
  const way = relative(process.cwd(), target);
  if (way !== "") out(`  cd ${way.startsWith("..") ? target : way}`);
  out("  npm install");
  out("  npm test     # type check, and the tests in virtual time");
  out("  npm start    # a worker and a web server, until Ctrl-C");
  if (!canShareFolder()) {
    out(
      `The two processes share the folder .taskloom. This is Node ${process.version}, whose SQLite ${process.versions["sqlite"]} cannot do that: install Node 22.23 or 24.21, or set TASKLOOM_ENGINE=redis://HOST:6379.`,
    );
  }
  return EXIT_CODES.ok;
}

/** Returns whether two processes of this Node may write to one embedded engine: from SQLite 3.51.3 on. */
function canShareFolder(): boolean {
  const [major = 0, minor = 0, patch = 0] = (process.versions["sqlite"] ?? "").split(".").map(Number);
  return major * 1_000_000 + minor * 1_000 + patch >= 3_051_003;
}

/** Returns the files of the template, with paths as in the new project. */
async function templateFiles(): Promise<{ readonly path: string; readonly text: string }[]> {
  const paths = [...(await filesIn(TEMPLATE))].toSorted();
  return await Promise.all(
    paths.map(async (path) => ({
      // npm leaves files such as .gitignore out of packages, so they have another name there.
      path: path.replace(/^_/, "."),
      text: await readFile(join(TEMPLATE, path), "utf8"),
    })),
  );
}

/** Returns the paths of the files below a folder, relative to it; none if there is no such folder. */
async function filesIn(folder: string): Promise<Set<string>> {
  try {
    const entries = await readdir(folder, { withFileTypes: true, recursive: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    return new Set(
      files.map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/")),
    );
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return new Set();
    throw new CliFailure(
      "INIT_FOLDER",
      `${folder} cannot be a project's folder: ${message}; name another one`,
      {
        exitCode: EXIT_CODES.usage,
        cause: error,
      },
    );
  }
}

/** Returns the package.json of a project: it has the name of its folder, and the version of this package. */
function manifest(text: string, target: string): string {
  const name = basename(target)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "");
  const project = JSON.parse(text) as { name: string; dependencies: Record<string, string> };
  if (name !== "") project.name = name;
  for (const dependency of Object.keys(project.dependencies)) {
    if (dependency.startsWith("@taskloom/")) project.dependencies[dependency] = `^${version}`;
  }
  return `${JSON.stringify(project, null, 2)}\n`;
}
