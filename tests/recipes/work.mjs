// DATABASE_URL=postgresql://… node work.mjs: does what has come, one after the other, in one process beside the web server's.

import { setTimeout } from "node:timers/promises";
import pg from "pg";

// What fails ends this process, to be started again by whatever watches over it: by then others are before it.
const TAKE = `
  UPDATE inbox SET tries = tries + 1 WHERE id = (
    SELECT id FROM inbox WHERE done_at IS NULL ORDER BY tries, kept_at LIMIT 1
  ) RETURNING id, body`;
const DONE = "UPDATE inbox SET done_at = CURRENT_TIMESTAMP WHERE id = $1";

// Yours. It may be done twice, where this process ends between it and its mark.
async function work(event) {
  console.log(event.type, event.data.task_id, event.data.result_url);
}

const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
await db.connect();
for (;;) {
  const { rows } = await db.query(TAKE);
  for (const { id, body } of rows) {
    await work(JSON.parse(body));
    await db.query(DONE, [id]);
  }
  if (!rows.length) await setTimeout(1000);
}
