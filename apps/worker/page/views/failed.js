// The failed jobs by task and error. A group opens to its jobs; one button replays them all, after a question.
import { action, canOperate, confirm, place, problem, request, say, withBody, work } from "../actions.js";
import { counted, element, number, replace, section, when } from "../elements.js";
import { linkHere, linkTo } from "../links.js";
import { groupLink } from "./group-link.js";
import { jobTable } from "./job-rows.js";

/** The jobs of an open group that are shown. */
const SHOWN_JOBS = 20;
const ROUNDS = 5;

/** Retries the jobs of one group, page after page, and returns their number. */
async function retryGroup({ task, error: { name, message } }) {
  let retried = 0;
  for (let cursor; ;) {
    const page = await request("/failed/retry", withBody("POST", { task, error: { name, message }, cursor }));
    retried += page.retried.length;
    cursor = page.next;
    if (cursor === undefined) return retried;
    say(`${number(retried)} jobs of ${task} are replayed so far.`);
  }
}

export function open(root, { query: first }) {
  let query = first;
  let rounds = 0;
  /** The pages of failed jobs to show: the service bounds the bytes of each. */
  let pages = 1;
  /** The jobs of the open group, and those of them that are chosen. */
  let opened = [];
  const chosen = new Map();

  root.append(
    section(
      "failed",
      "Failed jobs",
      element(
        "p",
        { class: "hint" },
        "Jobs without attempts left, by task and error. They are kept for a week, and can be replayed until then.",
      ),
      element("div", { id: "failed" }),
    ),
  );

  async function readGroups() {
    const groups = new Map();
    let searched = 0;
    let next;
    for (let read = 0; read === 0 || (read < pages && next !== undefined); read++) {
      const page = await request(
        next === undefined ? "/failed" : `/failed?cursor=${encodeURIComponent(next)}`,
      );
      for (const group of page.groups) {
        const before = groups.get(group.key);
        groups.set(
          group.key,
          before === undefined ? group : { ...before, count: before.count + group.count },
        );
      }
      searched += page.searched;
      next = page.next;
    }
    return { groups: [...groups.values()], searched, next };
  }

  async function replayChosen(button) {
    const jobs = [...chosen.values()];
    await work(button, async () => {
      for (const { id, queue } of jobs) {
        await request(`/jobs/${encodeURIComponent(id)}/retry?${new URLSearchParams({ queue })}`, {
          method: "POST",
        });
        chosen.delete(id);
      }
      return `${counted(jobs.length, "job")} replayed.`;
    });
    await readAll();
  }

  function replayButton(group) {
    const { task, error, count } = group;
    return action("Replay all …", `Replay all ${count} of ${task}`, (button) =>
      confirm(
        {
          title: `Replay ${counted(count, "job")} of ${task}?`,
          text: `All jobs that failed with ${error.name} get all of their attempts again. They run as soon as a worker is free.`,
          yes: "Yes, replay them",
        },
        button,
        async () => {
          await work(button, async () => `${counted(await retryGroup(group), "job")} of ${task} replayed.`);
          await readAll();
        },
      ),
    );
  }

  function checkbox(job) {
    const box = element("input", { type: "checkbox", "aria-label": `Choose job ${job.id}` });
    if (chosen.has(job.id)) box.setAttribute("checked", "");
    box.addEventListener("change", () => {
      if (box.checked) chosen.set(job.id, job);
      else chosen.delete(job.id);
      show();
    });
    return element("td", {}, box);
  }

  function jobsOf({ key, task, count }) {
    const list = jobTable(`Failed jobs of ${task}`, opened, {
      extra: (job) => (canOperate() ? [checkbox(job)] : []),
      extraHeads: canOperate() ? [element("td", {})] : [],
      key: "jobs",
    });
    const all = element(
      "a",
      { href: linkTo("jobs", { state: "failed", task, failure: key }) },
      `All ${number(count)} jobs`,
    );
    const replay = action(
      `Replay ${number(chosen.size)} chosen`,
      `Replay ${chosen.size} chosen jobs`,
      replayChosen,
    );
    return element(
      "div",
      { class: "opened" },
      list,
      element("p", { class: "pager" }, canOperate() && chosen.size > 0 ? replay : "", all),
    );
  }

  function groupItem(group) {
    const { key, lastAt } = group;
    const isOpen = query.get("open") === key;
    const head = groupLink(group, {
      href: linkHere({ open: isOpen ? "" : key }),
      "aria-expanded": String(isOpen),
      role: "button",
    });
    return element(
      "li",
      { "data-key": key },
      element(
        "div",
        { class: "group-row" },
        head,
        element("span", { class: "soft time" }, when(lastAt)),
        canOperate() ? replayButton(group) : "",
      ),
      isOpen ? jobsOf(group) : "",
    );
  }

  let found = { groups: [], searched: 0, next: undefined };

  function show() {
    const { groups, searched, next } = found;
    if (groups.length === 0) {
      replace(place("failed"), [element("p", { class: "empty", "data-key": "none" }, "No job has failed.")]);
      return;
    }
    const list = element("ul", { class: "groups", "data-key": "groups" }, ...groups.map(groupItem));
    const note = element("p", { class: "pager", "data-key": "note" });
    note.append(
      element("span", { class: "soft" }, `These are the newest ${number(searched)} failed jobs. `),
      action("Show more", "Show more failed jobs", () => {
        pages++;
        readAll().catch(() => {}); // The next round shows the error.
      }),
    );
    const old = place("failed").querySelector("[data-key=groups]");
    if (old === null) replace(place("failed"), [list]);
    // The items are compared one by one, so that the others keep their boxes and their focus.
    else replace(old, [...list.children]);
    const rest = place("failed").querySelector("[data-key=note]");
    if (next === undefined) rest?.remove();
    else if (rest === null) place("failed").append(note);
    else if (rest.textContent !== note.textContent) rest.replaceWith(note);
  }

  async function readAll() {
    const key = query.get("open");
    found = await readGroups();
    const group = found.groups.find((each) => each.key === key);
    opened =
      group === undefined
        ? []
        : (
            await request(
              `/jobs?${new URLSearchParams({ state: "failed", task: group.task, failure: key, limit: SHOWN_JOBS })}`,
            )
          ).jobs;
    for (const id of chosen.keys()) if (!opened.some((job) => job.id === id)) chosen.delete(id);
    const old = place("failed").querySelector("[data-key=none]");
    old?.remove();
    show();
  }

  return {
    title: "Failed jobs",
    async refresh() {
      if (rounds++ % ROUNDS !== 0) return;
      try {
        await readAll();
      } catch (error) {
        replace(place("failed"), [problem(error)]);
      }
    },
    change(changed) {
      query = changed;
      readAll().catch((error) => replace(place("failed"), [problem(error)]));
    },
  };
}
