// Makes a timeline of the history of a durable run: bars for its calls, gaps for its waits, marks for its messages.
import { element, milliseconds, replace } from "../elements.js";

/** Shorter waits are left out: between any two steps there is the time of an append. */
const MIN_WAIT_MS = 20;
const MAX_TEXT = 120;

const KINDS = { step: "Step", job: "Job", child: "Child" };
const STYLES = { completed: "good", failed: "bad", cancelled: "warn", running: "busy" };

/** Returns a value of a history as text. An error shows its name and message. */
export function valueText(value) {
  if (value === undefined || value === null) return "";
  const isError = typeof value === "object" && value.$taskloom === "error";
  const text = isError
    ? `${value.name} ${value.message}`
    : typeof value === "string"
      ? value
      : JSON.stringify(value);
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}

/** The journal has short arguments as a list, and long ones as `h:HASH` and their beginning. */
function argumentsText(args) {
  const list = args.startsWith("h:") ? args.slice(args.indexOf(" ") + 1) : args.slice(0, -1);
  const text = list.replace(/^\[/, "");
  return args.startsWith("h:") || text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** Returns the bars and marks of ticks, in the order of their beginnings, without the waits. */
function readTicks(ticks, now) {
  const rows = [];
  const calls = new Map();
  const updates = new Map();
  const call = (n, time) => {
    const known = calls.get(n);
    if (known !== undefined) return known;
    // The command can be in an earlier tick than those that are shown.
    const made = {
      key: `call ${n}`,
      kind: "Call",
      name: `number ${n}`,
      from: time,
      state: "running",
      notes: [],
    };
    calls.set(n, made);
    rows.push(made);
    return made;
  };
  const mark = (key, time, kind, name, text, style = "note") => {
    const made = { key, kind, name, from: time, to: time, isMark: true, text, style };
    rows.push(made);
    return made;
  };
  const deliver = (delivery, time, key) => {
    switch (delivery.kind) {
      case "end": {
        const { state, value } = delivery;
        Object.assign(call(delivery.command, ticks[0].time), { to: time, state, value, due: undefined });
        break;
      }
      case "attempt": {
        const { attempt, due, error } = delivery;
        const row = call(delivery.command, ticks[0].time);
        row.notes.push(`attempt ${attempt} failed: ${valueText(error)}`);
        row.due = due > now ? due : undefined;
        break;
      }
      case "signal":
        mark(key, time, "Signal", delivery.name, valueText(delivery.payload));
        break;
      case "update":
        updates.set(delivery.id, mark(key, time, "Update", delivery.name, valueText(delivery.args)));
        break;
      case "cancel":
        mark(key, time, "Cancel", "", delivery.message, "warn");
    }
  };
  const command = (issued, time, key) => {
    switch (issued.kind) {
      case "cancel":
        call(issued.command, ticks[0].time).notes.push("asked to end");
        break;
      case "answer": {
        const row = updates.get(issued.update);
        if (row === undefined) break;
        row.style = STYLES[issued.state];
        row.text += ` → ${issued.state} ${valueText(issued.value)}`;
        break;
      }
      case "continue":
        mark(key, time, "Continues", issued.name, "as the next history", "good");
        break;
      case "end":
        mark(key, time, "End", "", issued.state, STYLES[issued.state]);
        break;
      case "patch":
        mark(key, time, "Patch", issued.name, "");
        break;
      case "view":
        break;
      default: {
        const row = call(issued.command, time);
        const name = `${issued.name}(${argumentsText(issued.args)})`;
        Object.assign(row, { kind: KINDS[issued.kind], name, from: time });
      }
    }
  };
  for (const { n, time, deliveries, commands } of ticks) {
    for (const [index, each] of deliveries.entries()) deliver(each, time, `in ${n} ${index}`);
    for (const [index, each] of commands.entries()) command(each, time, `out ${n} ${index}`);
  }
  return rows;
}

/** Returns the times in which no call was under way, as rows. */
function waitsBetween(rows, from, to, isOpen) {
  const bars = rows.filter(({ isMark }) => isMark !== true).toSorted((a, b) => a.from - b.from);
  // A message or an end divides a wait, because the run was awake for it.
  const times = rows.filter(({ isMark }) => isMark === true).map((row) => row.from);
  const waits = [];
  const wait = (start, end) => {
    const cuts = [...new Set(times.filter((time) => time > start && time < end))].toSorted((a, b) => a - b);
    for (const [index, cut] of [...cuts, end].entries()) {
      const begin = index === 0 ? start : cuts[index - 1];
      if (cut - begin < MIN_WAIT_MS) continue;
      const lasts = isOpen && cut === to;
      waits.push({ key: `wait ${begin}`, kind: "Wait", name: "", from: begin, to: cut, isWait: true, lasts });
    }
  };
  let at = from;
  for (const bar of bars) {
    if (bar.from > at) wait(at, bar.from);
    at = Math.max(at, bar.to ?? to);
  }
  if (to > at) wait(at, to);
  return waits;
}

function lengthText({ from, to }, end) {
  return milliseconds((to ?? end) - from);
}

function outcomeOf(row, end, now, isOpen) {
  if (row.isMark === true) return [row.text, row.style];
  if (row.isWait === true) return [`${row.lasts ? "for " : ""}${lengthText(row, end)}`, "soft"];
  const notes = row.notes.map((note) => `, ${note}`).join("");
  const due = row.due === undefined ? "" : `, next in ${milliseconds(row.due - now)}`;
  if (row.state === "running") {
    const state = isOpen ? `under way for ${lengthText(row, end)}` : "without an end";
    return [`${state}${notes}${due}`, isOpen ? "busy" : "soft"];
  }
  const value = valueText(row.value);
  return [
    `${row.state} in ${lengthText(row, end)}${notes}${value === "" ? "" : `: ${value}`}`,
    STYLES[row.state],
  ];
}

/**
 * Shows ticks as a timeline in a list.
 *
 * @param end the time at which the run has ended; undefined for a run that goes on.
 */
export function showTimeline(list, ticks, end) {
  const now = Date.now();
  if (ticks.length === 0) {
    replace(list, [element("li", { class: "empty", "data-key": "none" }, "The run has no tick yet.")]);
    return;
  }
  const isOpen = end === undefined;
  const from = ticks[0].time;
  const to = Math.max(end ?? now, ticks.at(-1).time);
  const bars = readTicks(ticks, now);
  const rows = [...bars, ...waitsBetween(bars, from, to, isOpen)].toSorted((a, b) => a.from - b.from);
  const share = (time) => (to === from ? 0 : ((time - from) / (to - from)) * 100);
  replace(
    list,
    rows.map((row) => {
      const [text, style] = outcomeOf(row, to, now, isOpen);
      const shape = row.isMark === true ? "mark" : row.isWait === true ? "gap" : "bar";
      const piece = element("span", { class: `${shape} ${style}` });
      piece.style.left = `${share(row.from).toFixed(2)}%`;
      if (row.isMark !== true) piece.style.width = `${(share(row.to ?? to) - share(row.from)).toFixed(2)}%`;
      return element(
        "li",
        { "data-key": row.key },
        element(
          "span",
          { class: "what" },
          element("span", { class: "soft" }, `${row.kind} `),
          element("strong", {}, row.name),
          element("span", { class: "soft when" }, ` +${milliseconds(row.from - from)}`),
        ),
        element("span", { class: "track", "aria-hidden": "true" }, piece),
        element("span", { class: `outcome ${style}` }, text),
      );
    }),
  );
}
