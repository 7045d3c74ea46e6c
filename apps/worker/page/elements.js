// Creates and updates elements. Texts of jobs are inserted as text and never become markup.

/** Returns an element with attributes and children. */
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
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
    else if (old.outerHTML !== fresh.outerHTML) update(old, fresh);
  }
}

/** Replaces an element, and moves the focus to the same place in the new one. */
function update(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const path = focused === null ? null : pathTo(old, focused);
  old.replaceWith(fresh);
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

/** Returns the task of a job; a pack also shows the number of its calls. */
export function taskLabel({ task, calls }) {
  return calls === undefined ? task : `${task} ×${number(calls)}`;
}

/** Returns a length of time as people say it, such as `1.5 s`. */
export function milliseconds(value) {
  if (value < 1_000) return `${Math.round(value)} ms`;
  if (value < 120_000) return `${(value / 1_000).toFixed(1)} s`;
  if (value < 7_200_000) return `${Math.round(value / 60_000)} min`;
  return `${(value / 3_600_000).toFixed(1)} h`;
}

export function ago(time) {
  return `${milliseconds(Math.max(0, Date.now() - time))} ago`;
}

/** Returns a table that scrolls if it is too wide; a head is a text or a cell. */
export function table(label, heads, rows) {
  const cells = heads.map((head) =>
    typeof head === "string" ? element("th", { scope: "col" }, head) : head,
  );
  return element(
    "div",
    { class: "scroll", "data-key": "table", role: "region", tabindex: "0", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows)),
  );
}
