-- For PostgreSQL and SQLite alike. Its key remembers what has come, and the rows without done_at are what is to be done.
CREATE TABLE inbox (
  id TEXT PRIMARY KEY, -- webhook-id
  body BYTEA NOT NULL,
  kept_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  tries INTEGER NOT NULL DEFAULT 0,
  done_at TIMESTAMP
);
CREATE INDEX inbox_open ON inbox (tries, kept_at) WHERE done_at IS NULL;
