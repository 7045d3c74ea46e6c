import { readFileSync, statSync, writeFileSync } from "node:fs";

/** One run of a job, as the job recorded it. */
export interface MarkedRun {
  readonly pid: number;
  readonly startedAt: number;
  readonly endedAt: number | undefined;
}

/** The file in which jobs record their starts and ends. A second run would double these side effects. */
export class Ledger {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    writeFileSync(path, "");
  }

  /** The size of the file in bytes, which grows with each record. */
  get size(): number {
    return statSync(this.path).size;
  }

  /** Every run of every job, by its key, in the order of their starts. */
  runs(): Map<string, MarkedRun[]> {
    const runs = new Map<string, { pid: number; startedAt: number; endedAt: number | undefined }[]>();
    for (const line of readFileSync(this.path, "utf8").split("\n")) {
      const [what, key = "", pid, at] = line.split(" ");
      const ofKey = runs.get(key) ?? [];
      if (what === "start") {
        ofKey.push({ pid: Number(pid), startedAt: Number(at), endedAt: undefined });
        runs.set(key, ofKey);
      } else if (what === "end") {
        const run = ofKey.find((each) => each.pid === Number(pid) && each.endedAt === undefined);
        if (run !== undefined) run.endedAt = Number(at);
      }
    }
    return runs;
  }

  /** Returns the runs that a process had not finished at its end. */
  cutOff(pid: number): string[] {
    return [...this.runs()].flatMap(([key, runs]) =>
      runs.some((run) => run.pid === pid && run.endedAt === undefined) ? [key] : [],
    );
  }
}
