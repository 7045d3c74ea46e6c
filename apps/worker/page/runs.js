// The list of durable runs.
import { action, place, problem, request } from "./actions.js";
import { ago, element, number, replace, table } from "./elements.js";
import { openRun, RUN_STYLES } from "./run-view.js";

const ROWS = 25;

let pages = 1;

place("runs-search").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  pages = 1;
  void refreshRuns();
});

/** Reads the runs of the search, as many pages as are shown. */
export async function refreshRuns() {
  const fields = [...new FormData(place("runs-search"))].filter(([, value]) => value !== "");
  const found = [];
  let searched = 0;
  let next;
  try {
    for (let read = 0; read === 0 || (read < pages && next !== undefined); read++) {
      const cursor = next === undefined ? {} : { cursor: next };
      const query = new URLSearchParams({ ...Object.fromEntries(fields), limit: ROWS, ...cursor });
      const page = await request(`/runs?${query}`);
      found.push(...page.runs);
      searched += page.searched;
      next = page.next;
    }
  } catch (error) {
    replace(place("runs"), [problem(error)]);
    return;
  }
  const more = element("p", { class: "soft", "data-key": "note" }, `Searched ${number(searched)} runs. `);
  const showMore = () => {
    pages++;
    void refreshRuns();
  };
  more.append(action("Show more", "Show more runs", showMore));
  const list =
    found.length === 0
      ? element("p", { class: "empty", "data-key": "none" }, "No durable run is found.")
      : table(
          "Durable runs",
          [
            "Run",
            "Workflow",
            "State",
            element("th", { scope: "col", class: "number" }, "Ticks"),
            "Tags",
            "Submitted",
          ],
          found.map(rowOf),
        );
  replace(place("runs"), next === undefined ? [list] : [list, more]);
}

function rowOf(run) {
  return element(
    "tr",
    { "data-key": `${run.queue} ${run.id}` },
    element(
      "th",
      { scope: "row", class: "mono" },
      action(run.id, `Open run ${run.id}`, () => openRun(run, () => focusOn(run))),
    ),
    element("td", {}, run.version === undefined ? run.task : `${run.task}@${run.version}`),
    element("td", { class: RUN_STYLES[run.state] ?? "" }, run.state),
    element("td", { class: "number" }, number(run.length)),
    element("td", {}, (run.tags ?? []).join(", ")),
    element("td", {}, ago(run.submittedAt)),
  );
}

/** Moves the focus to the row of a run. */
function focusOn({ id }) {
  [...place("runs").querySelectorAll("button")].find(({ textContent }) => textContent === id)?.focus();
}
