/** The layout's version, stored as SQLite's `user_version`. */
export const SCHEMA_VERSION = 1;

/**
 * The tables. Waiting jobs run in the order of `ord`: it grows with each job that is added or waits again, and is negative
 * for jobs that run first (LIFO). Triggers maintain the counters, so a count reads no jobs, and no statement has to
 * maintain them.
 */
export const SCHEMA = `
CREATE TABLE sequence (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO sequence VALUES ('ord', 0);

CREATE TABLE queue (
  q INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  last_id INTEGER NOT NULL DEFAULT 0,
  last_event INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE counter (
  q INTEGER NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (q, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  q INTEGER NOT NULL, field TEXT NOT NULL, value TEXT,
  PRIMARY KEY (q, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
  pk INTEGER PRIMARY KEY,
  q INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  state INTEGER NOT NULL,
  prio INTEGER NOT NULL DEFAULT 0,
  ord INTEGER NOT NULL,
  due INTEGER,
  delay INTEGER NOT NULL DEFAULT 0,
  data TEXT NOT NULL,
  opts TEXT NOT NULL,
  added INTEGER NOT NULL,
  processed INTEGER,
  finished INTEGER,
  attempts_made INTEGER NOT NULL DEFAULT 0,
  attempts_started INTEGER NOT NULL DEFAULT 0,
  stalled INTEGER NOT NULL DEFAULT 0,
  stalled_marked INTEGER NOT NULL DEFAULT 0,
  lock_token TEXT,
  locked_until INTEGER,
  owner INTEGER,
  processed_by TEXT,
  progress TEXT,
  return_value TEXT,
  failed_reason TEXT,
  stacktrace TEXT,
  deferred_failure TEXT,
  dedup_id TEXT,
  scheduler_id TEXT,
  parent_queue TEXT,
  parent_id TEXT,
  parent_key TEXT,
  pending_children INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX job_id ON job (q, id);
CREATE INDEX job_ready ON job (q, prio, ord) WHERE state = 0;
CREATE INDEX job_active ON job (q, locked_until) WHERE state = 1;
CREATE INDEX job_completed ON job (q, finished) WHERE state = 2;
CREATE INDEX job_failed ON job (q, finished) WHERE state = 3;
CREATE INDEX job_delayed ON job (q, due) WHERE state = 4;
CREATE INDEX job_waiting_children ON job (q, ord) WHERE state = 5;
CREATE INDEX job_parent ON job (parent_queue, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX job_owner ON job (owner) WHERE state = 1;

CREATE TABLE child (
  parent INTEGER NOT NULL,
  child_queue TEXT NOT NULL,
  child_id TEXT NOT NULL,
  child_key TEXT NOT NULL,
  status INTEGER NOT NULL DEFAULT 0,
  value TEXT,
  PRIMARY KEY (parent, child_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX child_of ON child (child_queue, child_id);

CREATE TABLE log (
  job INTEGER NOT NULL, idx INTEGER NOT NULL, row TEXT NOT NULL,
  PRIMARY KEY (job, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  q INTEGER NOT NULL, last INTEGER NOT NULL, items TEXT NOT NULL,
  PRIMARY KEY (q, last)
) STRICT, WITHOUT ROWID;

CREATE TABLE metric (
  q INTEGER NOT NULL, kind TEXT NOT NULL,
  count INTEGER NOT NULL DEFAULT 0, prev_ts INTEGER, prev_count INTEGER NOT NULL DEFAULT 0, data TEXT NOT NULL DEFAULT '[]',
  PRIMARY KEY (q, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE rate_limit (
  q INTEGER PRIMARY KEY, points INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT;

CREATE TABLE dedup (
  q INTEGER NOT NULL, dedup_id TEXT NOT NULL, job_id TEXT NOT NULL, expires INTEGER, next TEXT,
  PRIMARY KEY (q, dedup_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE scheduler (
  q INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT,
  next INTEGER,
  pattern TEXT,
  every INTEGER,
  tz TEXT,
  start_date INTEGER,
  end_date INTEGER,
  count_limit INTEGER,
  iterations INTEGER NOT NULL DEFAULT 0,
  template_data TEXT,
  template_opts TEXT,
  offset INTEGER,
  PRIMARY KEY (q, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scheduler_next ON scheduler (q, next);

CREATE TABLE process (
  id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL, address TEXT NOT NULL, lock TEXT NOT NULL
) STRICT;

CREATE TABLE client (
  process INTEGER NOT NULL, client INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (process, client)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
  UPDATE counter SET n = n + 1
    WHERE q = NEW.q AND kind = CASE WHEN NEW.state = 0 AND NEW.prio > 0 THEN 6 ELSE NEW.state END;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF state, prio ON job
  WHEN OLD.state <> NEW.state OR (NEW.state = 0 AND (OLD.prio > 0) <> (NEW.prio > 0)) BEGIN
  UPDATE counter SET n = n - 1
    WHERE q = OLD.q AND kind = CASE WHEN OLD.state = 0 AND OLD.prio > 0 THEN 6 ELSE OLD.state END;
  UPDATE counter SET n = n + 1
    WHERE q = NEW.q AND kind = CASE WHEN NEW.state = 0 AND NEW.prio > 0 THEN 6 ELSE NEW.state END;
END;
CREATE TRIGGER job_removed AFTER DELETE ON job BEGIN
  UPDATE counter SET n = n - 1
    WHERE q = OLD.q AND kind = CASE WHEN OLD.state = 0 AND OLD.prio > 0 THEN 6 ELSE OLD.state END;
  DELETE FROM log WHERE job = OLD.pk;
  DELETE FROM child WHERE parent = OLD.pk;
END;
`;
