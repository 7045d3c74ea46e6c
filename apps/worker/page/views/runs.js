// The durable runs, by a filter that is in the address.
import { place, problem, request } from "../actions.js";
import { element, head, number, replace, section, stateMark, table, when } from "../elements.js";
import { go, linkHere, linkToRun } from "../links.js";

const ROWS = 25;
const ROUNDS = 5;
const FIELDS = ["text", "name", "tag", "state"];
const STATES = ["waiting", "delayed", "parked", "active", "completed", "failed", "cancelled"];

function searchForm(query) {
  const states = STATES.map((state) => element("option", {}, state));
  const form = element(
    "form",
    { id: "runs-search", role: "search", "aria-label": "Durable runs" },
    element(
      "label",
      {},
      "Text in a run ",
      element("input", { name: "text", type: "search", autocomplete: "off" }),
    ),
    element("label", {}, "Workflow ", element("input", { name: "name", autocomplete: "off" })),
    element("label", {}, "Tag ", element("input", { name: "tag", autocomplete: "off", maxlength: "64" })),
    element(
      "label",
      {},
      "State ",
      element("select", { name: "state" }, element("option", { value: "" }, "any"), ...states),
    ),
    element("button", { class: "primary" }, "Find runs"),
  );
  for (const name of FIELDS) form.elements.namedItem(name).value = query.get(name) ?? "";
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    const fields = new FormData(form);
    go(linkHere({ ...Object.fromEntries(FIELDS.map((name) => [name, fields.get(name)])), cursor: "" }));
  });
  return form;
}

export function open(root, { query: first }) {
  let query = first;
  let rounds = 0;
  root.append(section("runs", "Durable runs", searchForm(query), element("div", { id: "runs" })));

  async function read() {
    const asked = query;
    const wanted = { limit: ROWS };
    for (const name of [...FIELDS, "cursor"]) if (asked.get(name)) wanted[name] = asked.get(name);
    let page;
    try {
      page = await request(`/runs?${new URLSearchParams(wanted)}`);
    } catch (error) {
      if (asked === query) replace(place("runs"), [problem(error)]);
      return;
    }
    if (asked !== query) return;
    const { runs, searched, next } = page;
    const pager = element(
      "p",
      { class: "pager", "data-key": "pager" },
      element("span", { class: "soft" }, `${number(runs.length)} shown, ${number(searched)} searched `),
      asked.get("cursor") ? element("a", { href: linkHere({ cursor: "" }) }, "Newest") : "",
      next === undefined ? "" : element("a", { href: linkHere({ cursor: next }) }, "Older"),
    );
    const heads = [
      "State",
      "Run",
      head("Ticks", "number wide"),
      head("Tags", "wide"),
      "Submitted",
      head("Next", "wide"),
    ];
    const list =
      runs.length === 0
        ? element("p", { class: "empty", "data-key": "none" }, "No durable run is found.")
        : table("Runs found", heads, runs.map(rowOf));
    replace(place("runs"), [list, pager]);
  }

  return {
    title: "Durable runs",
    async refresh() {
      if (rounds++ % ROUNDS === 0 && (rounds === 1 || !query.get("cursor"))) await read();
    },
    change(changed) {
      query = changed;
      rounds = 1;
      void read();
    },
  };
}

function rowOf(run) {
  const { id, queue, state, task, version, length, tags = [], submittedAt, dueAt } = run;
  const name = version === undefined ? task : `${task}@${version}`;
  return element(
    "tr",
    { "data-key": `${queue} ${id}` },
    element("td", {}, stateMark(state)),
    element(
      "th",
      { scope: "row" },
      element("a", { href: linkToRun(run), "aria-label": `${name} ${id}` }, name),
      element("span", { class: "id" }, id),
    ),
    element("td", { class: "number wide" }, number(length)),
    element("td", { class: "wide" }, tags.join(", ")),
    element("td", { class: "time" }, when(submittedAt)),
    element("td", { class: "time wide" }, dueAt === undefined ? "" : when(dueAt)),
  );
}
