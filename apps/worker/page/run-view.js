// One durable run: its facts and views, its timeline, and the controls that send it messages.
import { act, action, place, problem, request, say } from "./actions.js";
import { element, number, replace } from "./elements.js";
import { showTimeline, valueText } from "./timeline.js";

/** The service answers with at most so many ticks. */
const PAGE_TICKS = 500;
export const RUN_STYLES = { failed: "bad", completed: "good", cancelled: "warn" };
const ENDED = new Set(["completed", "failed", "cancelled"]);

/** The run that is open, with the ticks that are loaded: from tick `from` on. */
let shown;

const path = ({ id, queue }, rest = "", query = {}) =>
  `/runs/${encodeURIComponent(id)}${rest}?${new URLSearchParams({ queue, ...query })}`;

const post = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** Shows a run below the list. `onClose` is called when it is closed. */
export function openRun(run, onClose) {
  shown = { run, generation: undefined, from: 0, ticks: [], isReading: false };
  const heading = element("h3", { id: "run-heading", tabindex: "-1" }, `${run.task} `);
  heading.append(element("code", {}, run.id));
  const close = action("Close", `Close run ${run.id}`, () => {
    shown = undefined;
    place("run").replaceChildren();
    onClose();
  });
  const view = element(
    "article",
    { "aria-labelledby": "run-heading" },
    element("div", { class: "run-head" }, heading, close),
    element("div", { id: "run-facts" }),
    messages(run),
    element("p", { id: "run-note", class: "soft" }),
    element("h4", { id: "timeline-heading" }, "Timeline"),
    element("p", { id: "run-earlier" }),
    element("ol", { id: "timeline", class: "timeline", "aria-labelledby": "timeline-heading" }, ""),
  );
  place("run").replaceChildren(view);
  heading.focus();
  void refreshShownRun();
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
  await act(button, done, path(run, rest), post(body));
  note(place("said").textContent);
  await refreshShownRun();
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

function confirmEnd(run, kind, label, question, button) {
  const reason = element("input", { name: "reason", autocomplete: "off", maxlength: "1000" });
  const dialog = element(
    "dialog",
    { "aria-labelledby": "confirm-heading" },
    element(
      "form",
      { method: "dialog" },
      element("h3", { id: "confirm-heading" }, `${label} ${run.id}?`),
      element("p", {}, question),
      element("label", { class: "wide" }, "Reason ", reason),
      element("button", { value: "yes" }, `Yes, ${label.toLowerCase()}`),
      element("button", { value: "", autofocus: "" }, "Back"),
    ),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    button.focus();
    if (dialog.returnValue !== "yes") return;
    const done = kind === "cancel" ? "The run is asked to end." : "The run is terminated.";
    void send(button, run, done, `/${kind}`, { message: reason.value || "live page" });
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Reads the open run, and the ticks that it has got since. */
export async function refreshShownRun() {
  const opened = shown;
  if (opened === undefined || opened.isReading) return;
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
  await refreshShownRun();
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
  const facts = [
    ["state", element("span", { class: RUN_STYLES[run.state] ?? "" }, run.state)],
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
  const list = element(
    "dl",
    { "data-key": "facts" },
    ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
  replace(place("run-facts"), [list]);
  place("run-messages").hidden = isOver;
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
