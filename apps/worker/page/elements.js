// Creates and updates elements. Texts of jobs are inserted as text and never become markup.

/** Returns an element with attributes and children. */
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/**
 * Replaces the children of `parent`, but keeps equal children and the focus, so that keyboards and screen readers keep
 * their place.
 */
export function replace(parent, next) {
  const wanted = new Set(next.map(({ dataset }) => dataset.key));
  const gone = [...parent.children].filter(({ dataset }) => !wanted.has(dataset.key));
  for (const child of gone) child.remove();
  for (const [index, fresh] of next.entries()) {
    const old = [...parent.children].find(({ dataset }) => dataset.key === fresh.dataset.key);
    if (old === undefined) parent.insertBefore(fresh, parent.children[index] ?? null);
    else {
      if (parent.children[index] !== old) parent.insertBefore(old, parent.children[index]);
      if (old.outerHTML !== fresh.outerHTML) update(old, fresh);
    }
  }
}

/** Replaces an element, and moves the focus to the same place in the new one. */
function update(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const path = focused === null ? null : pathTo(old, focused);
  const scrolled = [...old.querySelectorAll(".scroll, pre"), old].map(({ scrollLeft, scrollTop }) => [
    scrollLeft,
    scrollTop,
  ]);
  old.replaceWith(fresh);
  for (const [index, each] of [...fresh.querySelectorAll(".scroll, pre"), fresh].entries())
    [each.scrollLeft, each.scrollTop] = scrolled[index] ?? [0, 0];
  if (path !== null) path.reduce((at, index) => at?.children[index], fresh)?.focus();
}

function pathTo(root, target) {
  const path = [];
  for (let at = target; at !== root; at = at.parentElement)
    path.unshift([...at.parentElement.children].indexOf(at));
  return path;
}

export function number(value) {
  return value.toLocaleString("en-US");
}

/** Returns `1 job`, `2 jobs`. */
export function counted(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns the task of a job; a pack also shows the number of its calls. */
export function taskLabel({ task, calls }) {
  return calls === undefined ? task : `${task} ×${number(calls)}`;
}

/** Returns a length of time as people say it, such as `1.5 s`. */
export function milliseconds(value) {
  if (value < 1_000) return `${Math.round(value)} ms`;
  if (value < 120_000) return `${(value / 1_000).toFixed(1)} s`;
  if (value < 7_200_000) return `${Math.round(value / 60_000)} min`;
  if (value < 172_800_000) return `${(value / 3_600_000).toFixed(1)} h`;
  return `${Math.round(value / 86_400_000)} days`;
}

/** Returns a point in time relative to now; its title is the whole time. */
export function when(time) {
  const away = Date.now() - time;
  // Seconds of a new time change with each round, and the reader of a list does not need their fractions.
  const text =
    Math.abs(away) < 120_000 ? `${Math.round(Math.abs(away) / 1_000)} s` : milliseconds(Math.abs(away));
  const title = new Date(time).toLocaleString();
  return element(
    "time",
    { datetime: new Date(time).toISOString(), title },
    away < 0 ? `in ${text}` : `${text} ago`,
  );
}

/** The colours of states. A state always stands beside its colour as text. */
const STYLES = {
  completed: "good",
  failed: "bad",
  cancelled: "warn",
  active: "busy",
  running: "good",
  dead: "bad",
  open: "good",
  draining: "warn",
  down: "bad",
};

export function stateMark(state, text = state) {
  return element("span", { class: `state ${STYLES[state] ?? "soft"}` }, text);
}

/** Returns a definition list of names and values. */
export function facts(pairs, key = "facts") {
  return element(
    "dl",
    { "data-key": key },
    ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
}

/** Returns a table that scrolls if it is too wide; a head is a text or a cell. */
export function table(label, heads, rows, key = "table") {
  const cells = heads.map((head) =>
    typeof head === "string" ? element("th", { scope: "col" }, head) : head,
  );
  return element(
    "div",
    { class: "scroll", "data-key": key, role: "region", tabindex: "0", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows)),
  );
}

/** Returns the head of a column of numbers, or of one that a narrow screen leaves out. */
export const head = (text, style) => element("th", { scope: "col", class: style }, text);

/** Returns a section with a heading. */
export function section(id, title, ...children) {
  return element(
    "section",
    { "aria-labelledby": `${id}-heading` },
    element("h2", { id: `${id}-heading` }, title),
    ...children,
  );
}
