// Requests to the API, and the buttons that send them.
import { element } from "./elements.js";

export const place = (id) => document.getElementById(id);

/** The permission of the person; buttons that change something are left out for a reader. */
let access = "operate";
export const setAccess = (given) => void (access = given);
export const canOperate = () => access === "operate";

/** Whether the engine has shards. Without them, the page asks for none. */
let isSharded = false;
export const setSharded = (given) => void (isSharded = given === true);
export const hasShards = () => isSharded;

/** A request that the API has refused, or that no API has answered: its code and message, and the status of HTTP. */
export class RequestError extends Error {
  constructor(status, { code = "HTTP", message = `status ${status}` } = {}) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.status = status;
  }
}

/**
 * Sends a request to the API; its paths are relative to the page, which can be mounted below any prefix. @throws
 * RequestError with the code and the message of the API.
 */
export async function request(path, options = {}) {
  const response = await fetch(`.${path}`, options);
  const text = await response.text();
  const answer = text === "" ? undefined : answerIn(text);
  if (!response.ok) throw new RequestError(response.status, answer);
  return answer;
}

/** Returns the answer in a text; undefined for a text that is no JSON, as that of a proxy that has lost the service. */
function answerIn(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the options of a request with a JSON body. */
export const withBody = (method, body) => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** Runs the work of a button and shows its result, a text. Meanwhile the button is disabled. */
export async function work(button, body) {
  button.disabled = true;
  try {
    say(await body());
  } catch (error) {
    say(`The request failed: ${error.message}`, "bad");
  }
  button.disabled = false;
}

/** Sends the request of a button and shows the result. */
export async function act(button, done, path, options) {
  await work(button, async () => {
    await request(path, options);
    return done;
  });
}

let hiding;

/** Shows a message for some seconds, and reads it to a screen reader. */
export function say(text, style = "") {
  const said = place("said");
  said.textContent = text;
  said.className = `toast shown ${style}`;
  clearTimeout(hiding);
  hiding = setTimeout(() => (said.className = "toast"), 8_000);
}

export function action(label, name, onClick, style = "") {
  const button = element("button", { type: "button", "aria-label": name, class: style }, label);
  button.addEventListener("click", () => onClick(button));
  return button;
}

/** Returns a line that shows an error in place of a list. */
export const problem = (error) => element("p", { class: "bad", "data-key": "problem" }, error.message);

/**
 * Asks before an action that cannot be taken back, and calls `onYes` with the text of the reason, if one is asked for.
 * The focus begins on the button that changes nothing, and returns to `button`.
 */
export function confirm({ title, text, yes, reason = false }, button, onYes) {
  const input = element("input", { name: "reason", autocomplete: "off", maxlength: "500" });
  const dialog = element(
    "dialog",
    { "aria-labelledby": "confirm-heading" },
    element(
      "form",
      { method: "dialog" },
      element("h3", { id: "confirm-heading" }, title),
      element("p", {}, text),
      ...(reason ? [element("label", { class: "wide" }, "Reason ", input)] : []),
      element("button", { value: "yes", class: "primary" }, yes),
      element("button", { value: "", autofocus: "" }, "Back"),
    ),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    button.focus();
    if (dialog.returnValue === "yes") void onYes(input.value);
  });
  document.body.append(dialog);
  dialog.showModal();
}
