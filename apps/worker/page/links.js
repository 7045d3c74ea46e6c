// The addresses of the page's views. They are in the fragment of the URL, so a link works below any prefix, and behind
// any sign-in, without a route at the server: `#/jobs?state=failed` is a view with its filter.

/** Returns the view that the address names: its path and its parameters. */
export function currentPlace() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?", 2);
  const [name = "", id] = path.split("/").slice(1);
  return {
    name,
    id: id === undefined ? undefined : decodeURIComponent(id),
    query: new URLSearchParams(query),
  };
}

/** Returns the address of a view. Empty parameters are left out. */
export function linkTo(name, { id, ...query } = {}) {
  const filled = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(filled).toString();
  const rest = id === undefined ? "" : `/${encodeURIComponent(id)}`;
  return `#/${name}${rest}${text === "" ? "" : `?${text}`}`;
}

export const linkToJob = ({ id, queue }) => linkTo("jobs", { id, queue });
export const linkToRun = ({ id, queue }) => linkTo("runs", { id, queue });

/** Returns the address of this view with other parameters. */
export function linkHere(changes) {
  const { name, id, query } = currentPlace();
  return linkTo(name, { id, ...Object.fromEntries(query), ...changes });
}

/** Moves to another address, as a link does. */
export function go(link) {
  location.hash = link;
}
