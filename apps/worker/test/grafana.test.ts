import { readFileSync } from "node:fs";
import { parser } from "@prometheus-io/lezer-promql";
import { describe, expect, test } from "vitest";
import { exportedMetrics } from "./exported-metrics.ts";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}
interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: string }[];
  };
}

const text = readFileSync(new URL("../grafana/taskloom.json", import.meta.url), "utf8");
const dashboard = JSON.parse(text) as Dashboard;
const metrics = new Map((await exportedMetrics()).map((metric) => [metric.name, metric]));
const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
);

/** The names in a query of PromQL: of metrics, and of labels in matchers and in groups. */
function namesIn(expr: string): { readonly series: string[]; readonly labels: string[] } {
  const query = expr.replaceAll("$__rate_interval", "5m");
  const series: string[] = [];
  const labels: string[] = [];
  parser.parse(query).iterate({
    enter: ({ name, type, from, to }) => {
      const part = query.slice(from, to);
      expect(type.isError, `${query} at ${from}`).toBe(false);
      if (name === "Identifier") series.push(part);
      if (name === "LabelName") labels.push(part);
    },
  });
  return { series, labels };
}

/** Returns the metric of a series: a histogram has three of them. */
function metricOf(series: string): ReturnType<typeof metrics.get> {
  const histogram = metrics.get(series.replace(/_(bucket|sum|count)$/, ""));
  return histogram?.type === "histogram" ? histogram : metrics.get(series);
}

describe("the Grafana dashboard", () => {
  test.each(queries)("$title: $expr", ({ expr, legendFormat }) => {
    const { series, labels } = namesIn(expr);
    expect(series.length).toBeGreaterThan(0);
    for (const each of series) expect(metricOf(each), each).toBeDefined();
    const known = new Set(["le", ...series.flatMap((each) => metricOf(each)?.labels ?? [])]);
    for (const label of labels) expect([...known], expr).toContain(label);
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(labels, expr).toContain(label);
    for (const each of series) {
      if (metricOf(each)?.type === "gauge") continue;
      expect(expr, "a counter needs rate or increase").toMatch(new RegExp(`(rate|increase)\\(${each}\\b`));
    }
  });

  test("shows each metric that a service exports", () => {
    const shown = new Set(
      queries.flatMap(({ expr }) => namesIn(expr).series.map((each) => metricOf(each)?.name)),
    );
    expect([...metrics.keys()].filter((name) => !shown.has(name))).toEqual([]);
  });

  test("has variables from labels that exist", () => {
    for (const { query, type } of dashboard.templating.list) {
      if (type !== "query") continue;
      const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query) ?? [];
      expect(metrics.get(metric!)?.labels, query).toContain(label);
    }
  });

  test("has panels of their own ids, side by side and not above each other", () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...dashboard.panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
  });
});
