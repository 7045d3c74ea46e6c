/** The tables of the limits, beside BullMQ's table of jobs. */
export const LIMIT_TABLES = `
CREATE TABLE taskloom_limit (
  queue text NOT NULL,
  name text NOT NULL,
  max integer NOT NULL,
  window_ms bigint NOT NULL, -- 0 for a limit of the concurrency
  PRIMARY KEY (queue, name)
);
CREATE TABLE taskloom_limit_slot (
  queue text NOT NULL,
  name text NOT NULL,
  id text NOT NULL,
  token text NOT NULL,
  rank bigint NOT NULL,
  until_ms bigint NOT NULL, -- 0 for a slot that is held to the end of the run
  PRIMARY KEY (queue, name, id, token)
);
CREATE INDEX taskloom_limit_slot_until ON taskloom_limit_slot (queue, name, until_ms);
CREATE TABLE taskloom_limit_line (
  queue text NOT NULL,
  name text NOT NULL,
  id text NOT NULL,
  rank bigint NOT NULL,
  hold_ms bigint, -- the time until which later jobs wait for a job that has not asked yet, or 0; NULL for a parked job, and -1 for one that is parked for another limit
  PRIMARY KEY (queue, name, id)
);
CREATE INDEX taskloom_limit_line_rank ON taskloom_limit_line (queue, name, rank);
CREATE INDEX taskloom_limit_line_parked ON taskloom_limit_line (queue, name) WHERE hold_ms IS NULL;
CREATE INDEX taskloom_limit_line_job ON taskloom_limit_line (queue, id);
CREATE SEQUENCE taskloom_limit_rank;
`;
