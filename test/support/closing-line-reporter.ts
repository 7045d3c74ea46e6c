import type { Reporter, TestModule } from "vitest/node";

/**
 * Ends every run with one plain line, `tests: N passed, N failed, N skipped`, and with the reasons of all
 * skips. A reader of the last lines thus learns, for example, that Redis was missing.
 */
export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    const reasons = new Map<string, number>();
    for (const module of modules) {
      if (module.errors().length > 0) count.failed += 1;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "pending") continue;
        count[result.state] += 1;
        if (result.state !== "skipped") continue;
        const note = result.note ?? "marked as skipped in its file";
        reasons.set(note, (reasons.get(note) ?? 0) + 1);
      }
    }
    // This is printed after vitest's own summary, which comes from the same hook.
    setImmediate(() => {
      for (const [note, tests] of reasons) process.stdout.write(`skipped ${tests}: ${note}\n`);
      process.stdout.write(
        `tests: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`,
      );
    });
  }
}
