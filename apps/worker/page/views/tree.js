import { element, milliseconds, taskLabel } from "../elements.js";
import { linkOf } from "./job-rows.js";

const closed = new Set();
let focusedKey;

/** Shows the live tasks of each worker as a tree for keyboards (WAI-ARIA's tree pattern). */
export function showTrees(place, workers, cancel) {
  const active = document.activeElement;
  const hadFocus = place.contains(active);
  const onButton = hadFocus && active.tagName === "BUTTON";
  if (hadFocus) focusedKey = active.closest("[role=treeitem]")?.dataset.key;
  const trees = workers
    .filter(({ tree }) => tree.roots.length > 0)
    .map((worker) => {
      const jobs = new Map(worker.jobs.map((job) => [job.id, job]));
      const items = worker.tree.roots.map((node, index) =>
        item(node, `${worker.id} ${index}`, 1, jobs, cancel),
      );
      const rest = worker.tree.total - count(worker.tree.roots);
      return element(
        "div",
        {},
        element(
          "h3",
          {},
          `${worker.slot} `,
          element(
            "span",
            { class: "soft" },
            `${worker.tree.total} task${worker.tree.total === 1 ? "" : "s"}`,
          ),
        ),
        element("ul", { role: "tree", "aria-label": `Tasks of ${worker.slot}` }, ...items),
        rest > 0 ? element("p", { class: "soft" }, `and ${rest} more`) : "",
      );
    });
  if (trees.length === 0) trees.push(element("p", { class: "empty" }, "No task runs now."));
  place.replaceChildren(...trees);
  const all = [...place.querySelectorAll("[role=treeitem]")];
  const again = all.find(({ dataset }) => dataset.key === focusedKey);
  (again ?? all[0])?.setAttribute("tabindex", "0");
  if (hadFocus && again !== undefined) (onButton ? (again.querySelector("button") ?? again) : again).focus();
}

function count(nodes) {
  return nodes.reduce((sum, { children }) => sum + 1 + count(children), 0);
}

function item(node, key, level, jobs, cancel) {
  const job = jobs.get(node.name);
  const ownKey = job === undefined ? key : job.id;
  const row = element(
    "div",
    { class: "row" },
    element("strong", {}, job === undefined ? node.name : taskLabel(job)),
    ...(job === undefined
      ? []
      : [element("a", { href: linkOf(job), tabindex: "-1", class: "mono" }, job.id)]),
    element(
      "span",
      { class: "soft" },
      node.waitsFor === undefined ? node.state : `waits for ${node.waitsFor}`,
    ),
    element("span", {}, node.since === undefined ? "" : milliseconds(node.since)),
    ...(node.stack.length === 0 ? [] : [element("code", { class: "soft" }, node.stack.at(-1))]),
  );
  if (job !== undefined) {
    const button = element(
      "button",
      { type: "button", tabindex: "-1", "aria-label": `Cancel ${taskLabel(job)} ${job.id}` },
      "Cancel",
    );
    button.addEventListener("click", () => cancel(job, button));
    row.append(button);
  }
  const made = element(
    "li",
    { role: "treeitem", tabindex: "-1", "aria-level": level, "data-key": ownKey },
    row,
  );
  if (node.children.length > 0) {
    made.setAttribute("aria-expanded", String(!closed.has(ownKey)));
    made.append(
      element(
        "ul",
        { role: "group" },
        ...node.children.map((child, index) => item(child, `${ownKey} ${index}`, level + 1, jobs, cancel)),
      ),
    );
    row.addEventListener("click", (event) => {
      if (event.target.closest("button, a") === null) open(made, closed.has(ownKey));
    });
  }
  made.addEventListener("keydown", (event) => onKey(event, made));
  return made;
}

function open(made, isOpen) {
  if (!made.hasAttribute("aria-expanded")) return;
  made.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) closed.delete(made.dataset.key);
  else closed.add(made.dataset.key);
}

function move(from, to) {
  if (to === undefined || to === null) return;
  from.setAttribute("tabindex", "-1");
  to.setAttribute("tabindex", "0");
  to.focus();
}

function onKey(event, made) {
  event.stopPropagation();
  const isButton = event.target.tagName === "BUTTON";
  const shown = [...document.querySelectorAll("#tasks [role=treeitem]")].filter(
    (each) => each.offsetParent !== null,
  );
  const at = shown.indexOf(made);
  const isOpen = made.getAttribute("aria-expanded");
  const keys = {
    ArrowDown: () => move(made, shown[at + 1]),
    ArrowUp: () => move(made, shown[at - 1]),
    Home: () => move(made, shown[0]),
    End: () => move(made, shown.at(-1)),
    ArrowRight: () =>
      isOpen === "false" ? open(made, true) : move(made, made.querySelector("[role=treeitem]")),
    ArrowLeft: () =>
      isOpen === "true" ? open(made, false) : move(made, made.parentElement.closest("[role=treeitem]")),
    Delete: () => made.querySelector(":scope > .row > button")?.click(),
    Enter: () => (isButton ? undefined : open(made, isOpen === "false")),
  };
  const act = keys[event.key];
  if (act === undefined || (isButton && event.key === "Enter")) return;
  event.preventDefault();
  act();
}
