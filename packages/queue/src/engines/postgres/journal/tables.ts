/**
 * The tables of the journal, beside BullMQ's table of jobs.
 *
 * The length of a log is not stored: the primary key of the log has it, so an append that only adds entries writes no row of
 * `taskloom_run`. `born` is the time at which the job was added; it shows whether the journal belongs to the stored job, or to
 * an earlier job of the same id.
 */
export const TABLES = `
CREATE TABLE taskloom_run (
  queue text NOT NULL,
  id text NOT NULL,
  born bigint NOT NULL,
  epoch integer NOT NULL DEFAULT 0,
  generation integer NOT NULL DEFAULT 0,
  consumed bigint NOT NULL DEFAULT 0, -- the number of consumed items
  delivered bigint NOT NULL DEFAULT 0, -- the number of all items
  deaths integer NOT NULL DEFAULT 0,
  owner text, -- the token of the owner; NULL if the run was parked or released
  view text,
  keys text[] NOT NULL DEFAULT '{}', -- the keys of the last deliveries
  PRIMARY KEY (queue, id)
) WITH (fillfactor = 80);
CREATE INDEX taskloom_run_woken ON taskloom_run (queue, id) WHERE delivered > consumed;
CREATE TABLE taskloom_log (
  queue text NOT NULL,
  id text NOT NULL,
  generation integer NOT NULL,
  seq integer NOT NULL,
  entry text NOT NULL,
  PRIMARY KEY (queue, id, generation, seq)
);
CREATE TABLE taskloom_inbox (
  queue text NOT NULL,
  id text NOT NULL,
  seq bigint NOT NULL,
  item text NOT NULL,
  PRIMARY KEY (queue, id, seq)
);
`;
