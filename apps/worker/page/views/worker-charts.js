import uPlot from "../uplot/uPlot.esm.js";
import { chartStyle, onSchemeChange } from "./chart-style.js";

/** The readings of ten minutes, one a second. */
const MAX_READINGS = 600;
/** The shortest time that a chart shows, in seconds. */
const MIN_SPAN = 60;

/** One chart for each worker: loop delay and busy share over time. */
export class WorkerCharts {
  #charts = new Map();
  #end = new AbortController();

  constructor() {
    const { signal } = this.#end;
    onSchemeChange(signal, () => {
      for (const [id, { place, slot, data, plot }] of this.#charts) {
        plot.destroy();
        this.#charts.set(id, { place, slot, data, plot: this.#make(place, slot, data) });
      }
    });
    const resize = () => {
      for (const { place, plot } of this.#charts.values())
        plot.setSize({ width: place.clientWidth, height: 150 });
    };
    addEventListener("resize", resize, { signal });
  }

  close() {
    this.#end.abort();
    for (const id of this.#charts.keys()) this.drop(id);
  }

  add(id, place, slot) {
    const data = [[], [], []];
    place.setAttribute("role", "img");
    this.#charts.set(id, { place, slot, data, plot: this.#make(place, slot, data) });
  }

  #make(place, slot, data) {
    const { axis, colour } = chartStyle();
    return new uPlot(
      {
        width: place.clientWidth || 600,
        height: 150,
        legend: { live: false },
        cursor: { drag: { x: false, y: false } },
        scales: {
          // A new chart is not stretched, or its axis would count in milliseconds. The range comes from the data, because
          // uPlot shows years for a single point, and a worker that dies early leaves only one.
          x: {
            range: ({ data: [times] }) => {
              const to = times.at(-1) ?? Date.now() / 1_000;
              return [Math.min(times[0] ?? to, to - MIN_SPAN), to];
            },
          },
          ms: { range: (_plot, _min, max) => [0, Math.max(10, max * 1.1)] },
          "%": { range: [0, 100] },
        },
        axes: [
          axis,
          { ...axis, scale: "ms", values: (_plot, ticks) => ticks.map((tick) => `${tick} ms`), size: 60 },
          {
            ...axis,
            scale: "%",
            side: 1,
            size: 60,
            grid: { show: false },
            values: (_plot, ticks) => ticks.map((tick) => `${tick} %`),
          },
        ],
        series: [
          {},
          {
            label: "loop delay p99",
            scale: "ms",
            stroke: colour("--accent"),
            width: 2,
            value: (_plot, value) => (value == null ? "–" : `${value.toFixed(1)} ms`),
          },
          {
            label: "busy",
            scale: "%",
            stroke: colour("--warn"),
            width: 2,
            dash: [6, 4],
            value: (_plot, value) => (value == null ? "–" : `${value.toFixed(0)} %`),
          },
        ],
      },
      data,
      place,
    );
  }

  push(id, time, delay, busy) {
    const { place, slot, data, plot } = this.#charts.get(id);
    const [times, delays, shares] = data;
    if (times.at(-1) === time) return;
    times.push(time);
    delays.push(delay);
    shares.push(busy);
    if (times.length > MAX_READINGS) for (const series of data) series.shift();
    plot.setData(data);
    place.setAttribute(
      "aria-label",
      `Worker ${slot}: loop delay now ${delay.toFixed(1)} ms, at most ${Math.max(...delays).toFixed(1)} ms; busy ${busy.toFixed(0)} %`,
    );
  }

  drop(id) {
    this.#charts.get(id)?.plot.destroy();
    this.#charts.delete(id);
  }
}
