import uPlot from "./uplot/uPlot.esm.js";

/** Ten minutes at one reading a second. */
const kept = 600;
/** How much time a chart shows at least, in seconds. */
const leastSpan = 60;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A colour that canvas understands: it knows no light-dark(). */
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = style(name);
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** One chart a worker: loop delay and busy share over time. */
export class Charts {
  #charts = new Map();

  constructor() {
    // Colours are drawn into the canvas: when the system turns dark or light, the charts are made again.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const [id, { place, slot, data, plot }] of this.#charts) {
        plot.destroy();
        this.#charts.set(id, { place, slot, data, plot: this.#make(place, slot, data) });
      }
    });
    addEventListener("resize", () => {
      for (const { place, plot } of this.#charts.values())
        plot.setSize({ width: place.clientWidth, height: 150 });
    });
  }

  add(id, place, slot) {
    const data = [[], [], []];
    place.setAttribute("role", "img");
    this.#charts.set(id, { place, slot, data, plot: this.#make(place, slot, data) });
  }

  #make(place, slot, data) {
    const ink = colour("--soft");
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: ink, grid, ticks: grid };
    return new uPlot(
      {
        width: place.clientWidth || 600,
        height: 150,
        legend: { live: false },
        cursor: { drag: { x: false, y: false } },
        scales: {
          // A chart that has just begun is not stretched: its axis would count in milliseconds. The times are the data's
          // own, since uPlot makes years of a single point, which is all that a worker may leave that has died.
          x: {
            range: ({ data: [times] }) => {
              const to = times.at(-1) ?? Date.now() / 1_000;
              return [Math.min(times[0] ?? to, to - leastSpan), to];
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
    if (times.length > kept) for (const series of data) series.shift();
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
