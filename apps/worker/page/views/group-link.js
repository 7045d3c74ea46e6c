// The link to a group of failed jobs.
import { element, number } from "../elements.js";

export function groupLink({ count, task, error }, attributes) {
  return element(
    "a",
    { ...attributes, class: "group" },
    element("span", { class: "count" }, number(count)),
    element("strong", {}, task),
    element("span", { class: "message" }, element("span", { class: "bad" }, error.name), ` ${error.message}`),
  );
}
