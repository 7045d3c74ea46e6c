// The colours of charts: those of the page.

const valueOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Returns a colour for the canvas, which does not know light-dark(). */
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = valueOf(name);
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

export function chartStyle() {
  const grid = { stroke: colour("--line"), width: 1 };
  return { colour, axis: { stroke: colour("--soft"), grid, ticks: grid } };
}

/** Notifies of a change between dark and light, until `signal`: a canvas keeps its colours, so charts are drawn again. */
export function onSchemeChange(signal, listener) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener, { signal });
}
