// The live page: shows the view that the address names, and refreshes it. Browsers run these files without a build.
import { place, request, setAccess, setSharded } from "./actions.js";
import { number } from "./elements.js";
import { currentPlace } from "./links.js";
import { failedCount, workersText } from "./live.js";
import * as failed from "./views/failed.js";
import * as job from "./views/job.js";
import * as jobs from "./views/jobs.js";
import * as overview from "./views/overview.js";
import * as run from "./views/run.js";
import * as runs from "./views/runs.js";
import * as schedules from "./views/schedules.js";
import * as workers from "./views/workers.js";

const INTERVAL_MS = 1_000;
/** The head is read in every fifth round. */
const HEAD_ROUNDS = 5;

/** The views by name: of a list, and of one of its items. */
const VIEWS = {
  "": [overview],
  jobs: [jobs, job],
  failed: [failed],
  runs: [runs, run],
  schedules: [schedules],
  workers: [workers],
};

/** The view that is open: `refresh` reads it again, and `close` ends its charts. */
let shown;
let rounds = 0;

function openView() {
  const { name, id, query } = currentPlace();
  const known = VIEWS[name] ?? VIEWS[""];
  const view = (id === undefined ? known[0] : known[1]) ?? known[0];
  const main = place("main");
  const isFirst = shown === undefined;
  if (shown?.view === view && shown.id === id && shown.change !== undefined) {
    shown.change(query);
    return;
  }
  shown?.close?.();
  main.replaceChildren();
  shown = { view, id, ...view.open(main, { id, query }) };
  document.title = `${shown.title} · Taskloom`;
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isFirst) {
    main.focus();
    scrollTo(0, 0);
  }
  void refreshView();
}

async function refreshView() {
  const refreshed = shown;
  try {
    await refreshed.refresh();
    showStatus();
  } catch (error) {
    if (refreshed === shown) showStatus(error);
  }
}

let statusText = "Connecting …";

function showStatus(error) {
  const status = place("status");
  status.classList.toggle("bad", error !== undefined);
  const text = error === undefined ? statusText : `No answer: ${error.message}`;
  if (status.textContent !== text) status.textContent = text;
}

async function refreshHead() {
  const [workersNow, failedNow] = await Promise.all([workersText(), failedCount()]);
  statusText = workersNow;
  const badge = place("failed-count");
  badge.textContent = failedNow === 0 ? "" : ` ${number(failedNow)}`;
}

/** While a pointer is down, no element is replaced: a click needs the element on which it began. */
let isPressed = false;
addEventListener("pointerdown", () => (isPressed = true));
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => (isPressed = false));

/** A selected text is about to be copied, and an open dialog is about to be answered. */
function isBusy() {
  return isPressed || document.querySelector("dialog[open]") !== null || !getSelection().isCollapsed;
}

async function refresh() {
  if (isPressed) return void setTimeout(refresh, 100);
  if (!isBusy()) {
    try {
      if (rounds++ % HEAD_ROUNDS === 0) await refreshHead();
      await refreshView();
    } catch (error) {
      showStatus(error);
    }
  }
  setTimeout(refresh, document.hidden ? 5 * INTERVAL_MS : INTERVAL_MS);
}

/** Shows the links that lead somewhere: a page inside another app has no bull-board and no metrics. */
async function readAbout() {
  const about = await request("/about");
  setAccess(about.access);
  setSharded(about.hasShards);
  for (const link of document.querySelectorAll("[data-part]"))
    link.hidden = about[link.dataset.part] !== true;
}

// Without an answer the status line shows the reason, and the next answers fill the page.
await readAbout().catch(showStatus);
addEventListener("hashchange", openView);
openView();
void refresh();
