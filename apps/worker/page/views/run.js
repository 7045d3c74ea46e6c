// One durable run: its facts and views, its timeline, and the controls that send it messages.
import { act, action, canOperate, confirm, place, problem, request, say, withBody } from "../actions.js";
import { element, facts, number, replace, section, stateMark } from "../elements.js";
import { linkTo } from "../links.js";
import { showTimeline, valueText } from "./run-timeline.js";

/** The service answers with at most so many ticks. */
const PAGE_TICKS = 500;
const ENDED = new Set(["completed", "failed", "cancelled"]);

/** The run that is open, with the ticks that are loaded: from tick `from` on. */
let shown;

const path = ({ id, queue }, rest = "", query = {}) =>
  `/runs/${encodeURIComponent(id)}${rest}?${new URLSearchParams({ ...(queue ? { queue } : {}), ...query })}`;

export function open(root, { id, query }) {
  const run = { id, queue: query.get("queue") ?? undefined };
  const opened = { run, generation: undefined, from: 0, ticks: [], isReading: false };
  shown = opened;
  const view = element(
    "article",
    { "aria-labelledby": "run-heading", id: "run" },
    element("div", { id: "run-facts" }),
    ...(canOperate() ? [messages(run)] : []),
    element("p", { id: "run-note", class: "soft" }),
    element("h3", { id: "timeline-heading" }, "Timeline"),
    element("p", { id: "run-earlier" }),
    element("ol", { id: "timeline", class: "timeline", "aria-labelledby": "timeline-heading" }, ""),
  );
  root.append(section("run", "Run ", view));
  const heading = place("run-heading");
  heading.append(element("code", {}, id));
  heading.before(element("a", { href: linkTo("runs"), class: "back" }, "Runs"));
  return { title: `Run ${id}`, refresh: () => refreshRun(opened), close: () => (shown = undefined) };
}

/** Returns the controls of a run: a signal, a cancel and a terminate. */
function messages(run) {
  const form = element(
    "form",
    { id: "run-messages", "aria-label": `Messages to run ${run.id}` },
    element("label", {}, "Signal ", element("input", { name: "signal", required: "", autocomplete: "off" })),
    element(
      "label",
      { class: "wide" },
      "Payload as JSON ",
      element("input", { name: "payload", autocomplete: "off", spellcheck: "false" }),
    ),
  );
  const button = element("button", {}, "Send signal");
  form.append(button);
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    void signal(run, form, button);
  });
  for (const [kind, label, question] of [
    ["cancel", "Cancel run", "The run is asked to end, and its code cleans up."],
    [
      "terminate",
      "Terminate run",
      "The run ends at once. None of its code is executed any more, not even its clean-up.",
    ],
  ])
    form.append(
      action(label, `${label} ${run.id}`, (asked) => confirmEnd(run, kind, label, question, asked)),
    );
  return form;
}

function note(text) {
  say(text);
  const line = document.getElementById("run-note");
  if (line !== null) line.textContent = text;
}

/** Sends a request of the open run, and shows the result beside its buttons. */
async function send(button, run, done, rest, body) {
  await act(button, done, path(run, rest), withBody("POST", body));
  note(place("said").textContent);
  if (shown !== undefined) await refreshRun(shown);
}

async function signal(run, form, button) {
  const name = form.elements.namedItem("signal").value;
  const text = form.elements.namedItem("payload").value.trim();
  let body = {};
  try {
    if (text !== "") body = { payload: JSON.parse(text) };
  } catch (error) {
    note(`The payload is not JSON: ${error.message}`);
    return;
  }
  await send(button, run, `Signal ${name} is sent.`, `/signals/${encodeURIComponent(name)}`, body);
}

function confirmEnd(run, kind, label, text, button) {
  const asked = { title: `${label} ${run.id}?`, text, yes: `Yes, ${label.toLowerCase()}`, reason: true };
  confirm(asked, button, (reason) => {
    const done = kind === "cancel" ? "The run is asked to end." : "The run is terminated.";
    return send(button, run, done, `/${kind}`, { message: reason || "live page" });
  });
}

/** Reads the open run, and the ticks that it has got since. */
async function refreshRun(opened) {
  if (opened.isReading) return;
  opened.isReading = true;
  try {
    const run = await request(path(opened.run));
    const isOther = run.generation !== opened.generation || run.length < opened.from + opened.ticks.length;
    if (isOther) {
      const from = Math.max(0, run.length - PAGE_TICKS);
      Object.assign(opened, { generation: run.generation, from, ticks: [] });
    }
    await readUpTo(opened, run.length);
    if (shown === opened) show(opened, run);
  } catch (error) {
    if (shown === opened) replace(place("run-facts"), [problem(error)]);
  }
  opened.isReading = false;
}

async function readUpTo(opened, length) {
  for (let at = opened.from + opened.ticks.length; at < length; at = opened.from + opened.ticks.length) {
    const page = await request(path(opened.run, "/history", { from: at }));
    if (page.length === 0) return;
    opened.ticks.push(...page);
  }
}

async function readEarlier(opened) {
  const from = Math.max(0, opened.from - PAGE_TICKS);
  try {
    const page = await request(path(opened.run, "/history", { from }));
    opened.ticks.unshift(...page.slice(0, opened.from - from));
    opened.from = from;
  } catch (error) {
    note(`The request failed: ${error.message}`);
  }
  await refreshRun(opened);
}

/** Returns the last value of each view in these ticks. */
function viewsOf(ticks) {
  const views = new Map();
  for (const { commands } of ticks)
    for (const { kind, name, value } of commands) if (kind === "view") views.set(name, value);
  return views;
}

function show(opened, run) {
  const { ticks, from } = opened;
  const isOver = ENDED.has(run.state);
  const end = isOver ? (run.finishedAt ?? ticks.at(-1)?.time) : undefined;
  const outcome = {
    completed: valueText(run.value),
    failed: valueText(errorText(run.error)),
    cancelled: run.reason,
  };
  const list = [
    ["workflow", run.version === undefined ? run.task : `${run.task}@${run.version}`],
    ["state", stateMark(run.state)],
    ["arguments", element("span", { class: "mono" }, valueText(run.args))],
    [
      "ticks",
      `${number(run.length)}${run.generation === 0 ? "" : `, after ${number(run.generation)} histories`}`,
    ],
    ...(run.unread === 0 ? [] : [["unread", `${number(run.unread)} deliveries`]]),
    ...(run.deaths === 0
      ? []
      : [["deaths", element("span", { class: "bad" }, `${number(run.deaths)} workers`)]]),
    ...(outcome[run.state] ? [["outcome", outcome[run.state]]] : []),
    ...[...viewsOf(ticks)].map(([name, value]) => [
      `view ${name}`,
      element("span", { class: "mono" }, valueText(value)),
    ]),
  ];
  replace(place("run-facts"), [facts(list)]);
  const form = document.getElementById("run-messages");
  if (form !== null) form.hidden = isOver;
  const earlier =
    from === 0
      ? []
      : [
          action(`Show ${number(Math.min(from, PAGE_TICKS))} earlier ticks`, "Show earlier ticks", () =>
            readEarlier(opened),
          ),
        ];
  if (place("run-earlier").childElementCount !== earlier.length)
    place("run-earlier").replaceChildren(...earlier);
  showTimeline(place("timeline"), ticks, end);
}

function errorText(error) {
  return error === undefined ? undefined : `${error.name} ${error.message}`;
}
