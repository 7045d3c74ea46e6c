// Compares the public signatures of each package with its report in `api/`, and fails if they differ:
// `pnpm run api`, after a build. `pnpm run api --update` stores the new reports, which a review then sees as a diff.
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { CompilerState, Extractor, ExtractorConfig, ExtractorLogLevel } from "@microsoft/api-extractor";

const isUpdate = process.argv.includes("--update");
/** The entry points for users. The others are seams between the packages of this repository. */
const PUBLIC = [".", "./testing"];

const folders = ["packages", "apps"].flatMap((parent) =>
  readdirSync(parent).map((name) => join(parent, name)),
);
const configs = folders.flatMap((folder) => {
  const { publishConfig } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return PUBLIC.filter((path) => publishConfig?.exports?.[path] !== undefined).map((path) =>
    configOf(
      resolve(folder),
      publishConfig.exports[path].types,
      path === "." ? "index" : path.slice("./".length),
    ),
  );
});
// One program for all entry points takes a third of the time of one for each.
const compilerState = CompilerState.create(configs[0], {
  additionalEntryPoints: configs.map(({ mainEntryPointFilePath }) => mainEntryPointFilePath),
});
const changed = configs
  .filter((config) => !isAsStored(config))
  .map(({ reportFilePath }) => relative(".", reportFilePath));
if (changed.length > 0) {
  console.error(
    `The public signatures differ from ${changed.join(", ")}. If the change is meant, run ` +
      "`pnpm run api --update`, and describe the change by `pnpm change`.",
  );
  process.exitCode = 1;
}

/** Returns API Extractor's configuration for an entry point. */
function configOf(projectFolder, types, name) {
  const reportFolder = join(projectFolder, "api");
  if (!existsSync(reportFolder)) mkdirSync(reportFolder);
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder,
      mainEntryPointFilePath: join(projectFolder, types),
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: "es2024",
            lib: ["es2024", "esnext.disposable", "esnext.error"],
            module: "nodenext",
            moduleResolution: "nodenext",
            types: ["node"],
            strict: true,
            skipLibCheck: true,
          },
          files: [join(projectFolder, types)],
        },
      },
      apiReport: {
        enabled: true,
        reportFolder,
        reportTempFolder: join(projectFolder, "dist/.api"),
        reportFileName: name,
      },
      newlineKind: "lf",
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Warning } },
        // The report has the signatures alone: doc comments have tests of their own.
        extractorMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(projectFolder, "package.json"),
  });
}

/** Returns whether the report of an entry point is the stored one; with `--update` it becomes that. */
function isAsStored(config) {
  const { apiReportChanged } = Extractor.invoke(config, {
    compilerState,
    localBuild: isUpdate,
    messageCallback: (message) => {
      if (message.messageId.startsWith("console-")) message.handled = true;
    },
  });
  return isUpdate || !apiReportChanged;
}
