// The overview: the activity over time, the queues, the jobs that run now, and the latest failures.
import { hasShards, place, problem, request } from "../actions.js";
import { element, replace, section, when } from "../elements.js";
import { linkTo } from "../links.js";
import { readQueues } from "../live.js";
import { activity } from "./activity.js";
import { groupLink } from "./group-link.js";
import { jobTable } from "./job-rows.js";
import { queuesTable } from "./queues-table.js";
import { shardsTable } from "./shards-table.js";

const RUNNING = 20;
const FAILURES = 5;
const RUNNING_ROUNDS = 2;
const FAILED_ROUNDS = 5;
const SHARDS_ROUNDS = 5;

export function open(root, { query }) {
  let rounds = 0;
  const charts = activity(query);
  root.append(
    charts.root,
    section("queues", "Queues", element("div", { id: "queues" })),
    ...(hasShards() ? [section("shards", "Shards", element("div", { id: "shards" }))] : []),
    section("running", "Running now", element("div", { id: "running" })),
    section("failures", "Latest failures", element("div", { id: "failures" })),
  );
  charts.start();

  async function readRunning() {
    const { jobs } = await request(`/jobs?${new URLSearchParams({ state: "active", limit: RUNNING + 1 })}`);
    const rest = element(
      "p",
      { class: "pager", "data-key": "rest" },
      element("a", { href: linkTo("jobs", { state: "active" }) }, "All running jobs"),
    );
    const list =
      jobs.length === 0
        ? element("p", { class: "empty", "data-key": "none" }, "No job runs now.")
        : jobTable("Running jobs", jobs.slice(0, RUNNING));
    replace(place("running"), jobs.length > RUNNING ? [list, rest] : [list]);
  }

  async function readFailures() {
    const { groups } = await request("/failed");
    if (groups.length === 0) {
      replace(place("failures"), [
        element("p", { class: "empty", "data-key": "none" }, "No job has failed."),
      ]);
      return;
    }
    const items = groups
      .slice(0, FAILURES)
      .map((group) =>
        element(
          "li",
          { "data-key": group.key },
          element(
            "div",
            { class: "group-row" },
            groupLink(group, { href: linkTo("failed", { open: group.key }) }),
            element("span", { class: "soft time" }, when(group.lastAt)),
          ),
        ),
      );
    replace(place("failures"), [element("ul", { class: "groups", "data-key": "groups" }, ...items)]);
  }

  async function readShards() {
    replace(place("shards"), shardsTable(await request("/shards")));
  }

  return {
    title: "Overview",
    change: (changed) => charts.change(changed),
    close: () => charts.close(),
    async refresh() {
      const round = rounds++;
      const part = async (id, read) => {
        try {
          await read();
        } catch (error) {
          replace(place(id), [problem(error)]);
          throw error;
        }
      };
      await Promise.all([
        part("queues", async () => replace(place("queues"), [queuesTable(await readQueues())])),
        charts.refresh(round),
        hasShards() && round % SHARDS_ROUNDS === 0 ? part("shards", readShards) : undefined,
        round % RUNNING_ROUNDS === 0 ? part("running", readRunning) : undefined,
        round % FAILED_ROUNDS === 0 ? part("failures", readFailures) : undefined,
      ]);
    },
  };
}
