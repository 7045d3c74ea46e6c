// Requests to the API, and the buttons that send them.
import { element } from "./elements.js";

export const place = (id) => document.getElementById(id);

/**
 * Sends a request to the API; its paths are relative to the page, which can be mounted below any prefix. @throws an
 * Error with the message of the API.
 */
export async function request(path, options = {}) {
  const response = await fetch(`.${path}`, options);
  const text = await response.text();
  const answer = text === "" ? undefined : JSON.parse(text);
  if (!response.ok) throw new Error(answer?.message ?? `status ${response.status}`);
  return answer;
}

/** Sends the request of a button and shows the result. Meanwhile the button is disabled. */
export async function act(button, done, path, options) {
  button.disabled = true;
  try {
    await request(path, options);
    say(done);
  } catch (error) {
    say(`The request failed: ${error.message}`);
  }
  button.disabled = false;
}

export function say(text) {
  place("said").textContent = text;
  place("status").textContent = text;
}

export function action(label, name, onClick) {
  const button = element("button", { type: "button", "aria-label": name }, label);
  button.addEventListener("click", () => onClick(button));
  return button;
}

/** Returns a line that shows an error in place of a list. */
export const problem = (error) => element("p", { class: "bad", "data-key": "problem" }, error.message);
