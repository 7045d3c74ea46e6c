// The activity of the queues over time: ends, waits and run times, and the depth. The engine keeps it, so it is there
// after a reload and a restart.
import uPlot from "../uplot/uPlot.esm.js";
import { place, problem, request } from "../actions.js";
import { element, milliseconds, number, replace, section } from "../elements.js";
import { linkHere } from "../links.js";
import { chartStyle, onSchemeChange } from "./chart-style.js";

const HEIGHT = 150;
const ROUNDS = 5;
const DEFAULT_RANGE = "1h";
const RANGES = { "1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000 };
const RANGE_NAMES = { "1h": "hour", "24h": "24 hours", "7d": "7 days" };

const rate = (perSecond) =>
  perSecond >= 10
    ? `${number(Math.round(perSecond))}/s`
    : perSecond >= 0.1
      ? `${perSecond.toFixed(1)}/s`
      : `${number(Math.round(perSecond * 60))}/min`;

/**
 * The charts. Each series has a colour of the page and a form of its own, since colours alone do not tell them apart for
 * everybody.
 */
const CHARTS = [
  {
    id: "throughput",
    title: "Throughput",
    axis: rate,
    series: [
      {
        label: "completed",
        colour: "--good",
        fill: true,
        of: (point, length) => point.completed / (length / 1_000),
      },
      {
        label: "failed",
        colour: "--bad",
        dash: [6, 3],
        of: (point, length) => point.failed / (length / 1_000),
      },
      {
        label: "retrying",
        colour: "--warn",
        dash: [2, 3],
        of: (point, length) => point.retrying / (length / 1_000),
      },
    ],
    empty: 0,
  },
  {
    id: "latency",
    title: "Latency",
    axis: (value) => milliseconds(value),
    series: [
      { label: "wait p95", colour: "--accent", of: ({ wait }) => wait?.p95 },
      { label: "wait p50", colour: "--accent", dash: [2, 3], of: ({ wait }) => wait?.p50 },
      { label: "run p95", colour: "--warn", dash: [6, 3], of: ({ run }) => run?.p95 },
    ],
    empty: null,
  },
  {
    id: "depth",
    title: "Queue depth",
    axis: (value) => number(Math.round(value)),
    series: [
      { label: "waiting", colour: "--accent", fill: true, of: ({ waiting }) => waiting },
      { label: "active", colour: "--good", dash: [6, 3], of: ({ active }) => active },
      { label: "delayed", colour: "--soft", dash: [2, 3], of: ({ delayed }) => delayed },
    ],
    empty: 0,
  },
];

/** Returns the times in seconds and the values of each series; spans without figures have the value of the chart. */
function dataOf({ series, empty }, { length, from, to }, points) {
  const columns = [[], ...series.map(() => [])];
  // The last span is not over: its rate would always fall.
  for (let time = from; time < to; time += length) {
    columns[0].push(time / 1_000);
    const point = points.get(time);
    for (const [index, { of }] of series.entries())
      columns[index + 1].push(point === undefined ? empty : (of(point, length) ?? null));
  }
  return columns;
}

/** Returns the time of a tick, or its day if the chart shows several. */
function timeText({ scales: { x } }, time) {
  const options =
    x.max - x.min > 100_000
      ? { day: "numeric", month: "short" }
      : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Date(time).toLocaleString("en-GB", options);
}

/** Leaves out a label that is that of the tick before: counts and milliseconds are rounded. */
const labelsOf = (texts) => texts.map((text, at) => (text === texts[at - 1] ? "" : text));

class Chart {
  #definition;
  #place;
  #figures;
  #data = [[], [], [], []];
  #plot;

  constructor(definition) {
    this.#definition = definition;
    this.#place = element("div", { class: "plot", role: "img" });
    this.#figures = element("p", { class: "figures" });
    this.root = element("div", {}, element("h3", {}, definition.title), this.#figures, this.#place);
  }

  draw() {
    this.#plot?.destroy();
    const { series, axis: text } = this.#definition;
    const { axis, colour } = chartStyle();
    this.#plot = new uPlot(
      {
        width: this.#place.clientWidth || 300,
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, y: false },
        scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, space: 60, values: (plot, ticks) => ticks.map((tick) => timeText(plot, tick * 1_000)) },
          {
            ...axis,
            size: 62,
            space: 34,
            values: (_plot, ticks) => labelsOf(ticks.map((tick) => (tick === 0 ? "0" : text(tick)))),
          },
        ],
        series: [
          {},
          ...series.map(({ label, colour: name, dash, fill }) => ({
            label,
            stroke: colour(name),
            width: 1.5,
            points: { show: false },
            dash: dash ?? [],
            fill: fill ? colour(name).replace("rgb(", "rgba(").replace(")", ", 0.12)") : undefined,
          })),
        ],
      },
      this.#data,
      this.#place,
    );
  }

  show(range, points) {
    const { series, axis, title } = this.#definition;
    this.#data = dataOf(this.#definition, range, points);
    this.#plot?.setData(this.#data);
    const last = series.map(({ label, colour, dash }, index) => {
      const values = this.#data[index + 1];
      const value = values.findLast((each) => each !== null);
      return { label, colour, dash, text: value === undefined ? "–" : axis(value) };
    });
    this.#figures.replaceChildren(
      ...last.map(({ label, colour, dash, text }) => {
        const line = element("span", {
          class: dash === undefined ? "line" : "line dashed",
          "aria-hidden": "true",
        });
        line.style.color = `var(${colour})`;
        return element("span", { class: "key" }, line, element("span", { class: "soft" }, `${label} `), text);
      }),
    );
    this.#place.setAttribute(
      "aria-label",
      `${title}: ${last.map(({ label, text }) => `${label} ${text}`).join(", ")}`,
    );
  }

  resize() {
    this.#plot?.setSize({ width: this.#place.clientWidth, height: HEIGHT });
  }

  close() {
    this.#plot?.destroy();
  }
}

/** Returns the section with the charts, which is filled by `refresh`. */
export function activity(first) {
  let query = first;
  let points = new Map();
  let newest;
  const charts = CHARTS.map((definition) => new Chart(definition));
  const end = new AbortController();
  const root = section(
    "activity",
    "Activity",
    element("nav", { id: "ranges", class: "tabs", "aria-label": "Time" }),
    element("div", { id: "activity-problem" }),
    element("div", { class: "charts" }, ...charts.map((chart) => chart.root)),
  );
  const rangeName = () => (RANGES[query.get("range")] === undefined ? DEFAULT_RANGE : query.get("range"));

  function showRanges() {
    const links = Object.entries(RANGE_NAMES).map(([name, text]) => {
      const range = name === DEFAULT_RANGE ? "" : name;
      const link = element("a", { href: linkHere({ range }), "data-key": name }, text);
      if (name === rangeName()) link.setAttribute("aria-current", "true");
      return link;
    });
    replace(place("ranges"), links);
  }

  /** Reads all spans at first, and later those that can have changed: the last one and the one before. */
  async function read() {
    const last = RANGES[rangeName()];
    const asked = query;
    const wanted = { last, ...(newest === undefined ? {} : { from: newest }) };
    const answer = await request(`/activity?${new URLSearchParams(wanted)}`);
    if (asked !== query) return;
    const oldest = answer.to - last + answer.length;
    for (const point of answer.points) points.set(point.time, point);
    for (const time of points.keys()) if (time < oldest) points.delete(time);
    newest = answer.to - answer.length;
    for (const chart of charts) chart.show({ length: answer.length, from: oldest, to: answer.to }, points);
  }

  return {
    root,
    /** Draws the charts, whose size is known now. */
    start() {
      showRanges();
      for (const chart of charts) chart.draw();
      onSchemeChange(end.signal, () => {
        for (const chart of charts) chart.draw();
      });
      const resize = () => {
        for (const chart of charts) chart.resize();
      };
      addEventListener("resize", resize, { signal: end.signal });
    },
    async refresh(round) {
      if (round % ROUNDS !== 0) return;
      try {
        await read();
        replace(place("activity-problem"), []);
      } catch (error) {
        replace(place("activity-problem"), [problem(error)]);
      }
    },
    change(changed) {
      query = changed;
      points = new Map();
      newest = undefined;
      showRanges();
      read().catch((error) => replace(place("activity-problem"), [problem(error)]));
    },
    close() {
      end.abort();
      for (const chart of charts) chart.close();
    },
  };
}
