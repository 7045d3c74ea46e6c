/** The functions of the journal that run on the database thread, each in a transaction. */
export { append, continueAs, open, park, release } from "./owner-functions.ts";
export { deliver, forget, head, read, readInbox, search, sweep, view } from "./other-functions.ts";
