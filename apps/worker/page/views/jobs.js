// The jobs, by a filter that is in the address: state, task, tag, queue, lane, time and text.
import { action, canOperate, confirm, place, problem, request, withBody, work } from "../actions.js";
import { counted, element, number, replace, section } from "../elements.js";
import { go, linkHere, linkTo } from "../links.js";
import { readQueues, readWorkers } from "../live.js";
import { jobTable } from "./job-rows.js";

const ROWS = 50;
/** A list without a text is read in every second round; a search of texts reads many jobs, so it is read seldom. */
const ROUNDS = 2;
const TEXT_ROUNDS = 15;

const STATES = ["waiting", "delayed", "active", "completed", "failed", "cancelled"];
const TIMES = { "15m": 900_000, "1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000 };
const TIME_NAMES = {
  "15m": "last 15 minutes",
  "1h": "last hour",
  "24h": "last 24 hours",
  "7d": "last 7 days",
};
const FIELDS = ["text", "task", "tag", "queue", "lane", "since"];

const option = (value, text = value) => element("option", { value }, text);

function filterForm() {
  const form = element(
    "form",
    { id: "filter", role: "search", "aria-label": "Jobs" },
    element("label", {}, "Id, task or argument ", element("input", { name: "text", type: "search" })),
    element(
      "label",
      {},
      "Task ",
      element("input", { name: "task", list: "known-tasks", autocomplete: "off" }),
    ),
    element("label", {}, "Tag ", element("input", { name: "tag", maxlength: "64", autocomplete: "off" })),
    element("label", {}, "Queue ", element("select", { name: "queue" }, option("", "any"))),
    element(
      "label",
      {},
      "Lane ",
      element(
        "select",
        { name: "lane" },
        option("", "any"),
        ...["loop", "thread", "workflow"].map((lane) => option(lane)),
      ),
    ),
    element(
      "label",
      {},
      "Submitted ",
      element(
        "select",
        { name: "since" },
        option("", "at any time"),
        ...Object.entries(TIME_NAMES).map(([value, text]) => option(value, text)),
      ),
    ),
    element("button", { class: "primary" }, "Search"),
    element("a", { href: linkTo("jobs"), id: "clear" }, "Clear"),
    element("datalist", { id: "known-tasks" }),
  );
  const submit = () => {
    const fields = new FormData(form);
    go(linkHere({ ...Object.fromEntries(FIELDS.map((name) => [name, fields.get(name)])), cursor: "" }));
  };
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    submit();
  });
  for (const select of form.querySelectorAll("select")) select.addEventListener("change", submit);
  return form;
}

/** Fills the lists of names, and shows the filter of the address. */
async function fillForm(form, query) {
  for (const name of FIELDS) {
    const field = form.elements.namedItem(name);
    const value = query.get(name) ?? "";
    if (field.tagName === "SELECT" && ![...field.options].some((each) => each.value === value))
      field.append(option(value));
    field.value = value;
  }
  form.querySelector("#clear").hidden = FIELDS.every((name) => !query.get(name));
  const [queues, workers] = await Promise.all([readQueues(), readWorkers()]);
  const select = form.elements.namedItem("queue");
  const chosen = select.value;
  const names = [...new Set([...Object.keys(queues), ...(chosen === "" ? [] : [chosen])])];
  select.replaceChildren(option("", "any"), ...names.map((name) => option(name)));
  select.value = chosen;
  const tasks = new Set(workers.flatMap(({ tasks: known }) => known.map(({ name }) => name)));
  form
    .querySelector("datalist")
    .replaceChildren(...[...tasks].toSorted((a, b) => a.localeCompare(b)).map((name) => option(name)));
}

/** Returns the links to the jobs of each state, with their numbers in the chosen queue and lane. */
function stateLinks(queues, query) {
  const wanted = query.get("state") ?? "";
  const lanes = query.get("lane") ? [query.get("lane")] : ["loop", "thread", "workflow"];
  const views = query.get("queue") ? [queues[query.get("queue")]] : Object.values(queues);
  const countOf = (state) => {
    let sum = 0;
    for (const view of views) for (const lane of lanes) sum += view?.[lane]?.[state] ?? 0;
    return sum;
  };
  return ["", ...STATES].map((state) => {
    const name = state === "" ? "all" : state;
    const link = element("a", { href: linkHere({ state, cursor: "" }), "data-key": name }, name);
    if (state !== "") link.append(element("span", { class: "count" }, number(countOf(state))));
    if (state === wanted) link.setAttribute("aria-current", "true");
    return link;
  });
}

/** The states whose jobs can be removed together: those of ended jobs. */
const CLEANED = new Set(["completed", "failed", "cancelled"]);
/** The filters by which `POST /queues/:name/clean` chooses no jobs. */
const NOT_CLEANED_BY = ["text", "tag", "lane", "since", "failure"];

/** Whether the jobs that are shown, on this page and on the next ones, can be removed together. */
const isCleanable = (query) =>
  canOperate() && CLEANED.has(query.get("state")) && NOT_CLEANED_BY.every((name) => !query.get(name));

/** Removes the ended jobs of a filter, 1,000 with each request, and returns their number. */
async function clean(query) {
  const queues = query.get("queue") ? [query.get("queue")] : Object.keys(await readQueues());
  const chosen = { state: query.get("state"), ...(query.get("task") ? { task: query.get("task") } : {}) };
  let removed = 0;
  for (const queue of queues) {
    let next;
    do {
      const page = await request(
        `/queues/${encodeURIComponent(queue)}/clean`,
        withBody("POST", next === undefined ? chosen : { ...chosen, cursor: next }),
      );
      removed += page.removed.length;
      next = page.next;
    } while (next !== undefined);
  }
  return removed;
}

/** Returns the button that removes the ended jobs of a filter. */
function cleanButton(query, onDone) {
  const state = query.get("state");
  const of = query.get("task") ? ` of task ${query.get("task")}` : "";
  const where = query.get("queue") ? `queue ${query.get("queue")}` : "all queues";
  return action(`Remove all ${state} …`, `Remove all ${state} jobs${of} of ${where}`, (button) =>
    confirm(
      {
        title: `Remove all ${state} jobs${of}?`,
        text: `All ${state} jobs${of} in ${where} are removed, on all pages of this list, with all that is stored about them. Nobody can read them any more.`,
        yes: "Yes, remove them",
      },
      button,
      async () => {
        await work(button, async () => `${counted(await clean(query), "job")} removed.`);
        await onDone();
      },
    ),
  );
}

function requestOf(query) {
  const since = TIMES[query.get("since")];
  const wanted = { limit: ROWS };
  for (const name of ["text", "task", "tag", "queue", "lane", "state", "failure", "cursor"])
    if (query.get(name)) wanted[name] = query.get(name);
  if (since !== undefined) wanted.since = Date.now() - since;
  return `/jobs?${new URLSearchParams(wanted)}`;
}

export function open(root, { query: first }) {
  let query = first;
  let rounds = 0;
  const form = filterForm();
  root.append(
    section(
      "jobs",
      "Jobs",
      element("nav", { id: "states", class: "tabs", "aria-label": "States" }),
      form,
      element("div", { id: "found", "aria-live": "polite" }),
    ),
  );

  async function read() {
    const asked = query;
    const found = place("found");
    let page;
    try {
      page = await request(requestOf(asked));
    } catch (error) {
      if (asked === query) replace(found, [problem(error)]);
      return;
    }
    if (asked !== query) return;
    const { jobs, searched, next } = page;
    const isFirst = !asked.get("cursor");
    const pager = element(
      "p",
      { class: "pager", "data-key": "pager" },
      element("span", { class: "soft" }, `${number(jobs.length)} shown, ${number(searched)} searched `),
      isFirst ? "" : element("a", { href: linkHere({ cursor: "" }) }, "Newest"),
      next === undefined ? "" : element("a", { href: linkHere({ cursor: next }) }, "Older"),
    );
    if (jobs.length > 0 && isCleanable(asked)) pager.append(cleanButton(asked, read));
    const failure = asked.get("failure");
    const notes =
      failure === null
        ? []
        : [
            element(
              "p",
              { class: "hint", "data-key": "failure" },
              "Jobs that failed with one error. ",
              element("a", { href: linkTo("failed") }, "All groups"),
            ),
          ];
    const list =
      jobs.length === 0
        ? element("p", { class: "empty", "data-key": "none" }, "No jobs found.")
        : jobTable("Jobs found", jobs);
    replace(found, [...notes, list, pager]);
  }

  async function refresh() {
    const every = query.get("text") ? TEXT_ROUNDS : ROUNDS;
    replace(place("states"), stateLinks(await readQueues(), query));
    // An older page does not change under its reader.
    if (rounds++ % every === 0 && (rounds === 1 || !query.get("cursor"))) await read();
  }

  void fillForm(form, query).catch(() => {});
  return {
    title: "Jobs",
    refresh,
    change(changed) {
      query = changed;
      rounds = 0;
      void fillForm(form, query).catch(() => {});
      void refresh().catch(() => {});
    },
  };
}
