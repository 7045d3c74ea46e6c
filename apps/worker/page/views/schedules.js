// The schedules: their times, their next runs, and the buttons that run, pause and remove them.
import { act, action, canOperate, confirm, place, problem, request, withBody } from "../actions.js";
import { element, milliseconds, replace, section, table, when } from "../elements.js";
import { linkTo } from "../links.js";

const ROUNDS = 2;

const pathOf = ({ id, queue }, rest = "") =>
  `/schedules/${encodeURIComponent(id)}${rest}?${new URLSearchParams({ queue })}`;

export function open(root) {
  let rounds = 0;
  root.append(section("schedules", "Schedules", element("div", { id: "schedules" })));

  async function read() {
    let schedules;
    try {
      schedules = await request("/schedules");
    } catch (error) {
      replace(place("schedules"), [problem(error)]);
      return;
    }
    if (schedules.length === 0) {
      const text = "No schedule is stored. queue.schedule(…) and taskloom schedule store one.";
      replace(place("schedules"), [element("p", { class: "empty", "data-key": "none" }, text)]);
      return;
    }
    const heads = ["Schedule", "Task", "Times", "Next run", "Queue", "Action"];
    replace(place("schedules"), [table("Schedules and their times", heads, schedules.map(rowOf))]);
  }

  async function then(button, done, path, options) {
    await act(button, done, path, options);
    await read();
  }

  function buttonsOf(schedule) {
    const { id, isPaused } = schedule;
    const label = isPaused ? "Resume" : "Pause";
    return [
      action("Run now", `Run now: schedule ${id}`, (button) =>
        then(button, `Schedule ${id} runs once more now.`, pathOf(schedule, "/run"), { method: "POST" }),
      ),
      action(label, `${label} schedule ${id}`, (button) =>
        then(
          button,
          isPaused ? `Schedule ${id} goes on.` : `Schedule ${id} is paused.`,
          pathOf(schedule, "/paused"),
          withBody("PUT", { paused: !isPaused }),
        ),
      ),
      action("Remove …", `Remove schedule ${id}`, (button) =>
        confirm(
          {
            title: `Remove schedule ${id}?`,
            text: "It submits no more jobs. The jobs that it has submitted stay.",
            yes: "Yes, remove it",
          },
          button,
          () => then(button, `Schedule ${id} is removed.`, pathOf(schedule), { method: "DELETE" }),
        ),
      ),
    ];
  }

  function rowOf(schedule) {
    const { id, task, queue, cron, every, timezone, next, isPaused } = schedule;
    const times = cron === undefined ? `every ${milliseconds(every)}` : cron;
    return element(
      "tr",
      { "data-key": `${queue} ${id}` },
      element("th", { scope: "row" }, element("a", { href: linkTo("jobs", { text: `repeat:${id}:` }) }, id)),
      element("td", {}, element("a", { href: linkTo("jobs", { task }) }, task)),
      element(
        "td",
        {},
        element("span", { class: cron === undefined ? "" : "mono" }, times),
        timezone === undefined ? "" : element("span", { class: "soft" }, ` ${timezone}`),
      ),
      element(
        "td",
        {},
        isPaused ? element("span", { class: "warn" }, "paused") : next === undefined ? "–" : when(next),
      ),
      element("td", {}, queue),
      element("td", { class: "actions" }, ...(canOperate() ? buttonsOf(schedule) : [])),
    );
  }

  return {
    title: "Schedules",
    async refresh() {
      if (rounds++ % ROUNDS === 0) await read();
    },
  };
}
