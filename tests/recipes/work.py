"""INBOX=inbox.db python work.py: does what has come, one after the other, in one process beside the web server's."""

import json
import os
import sqlite3
import time
from contextlib import closing
from typing import Any

# What fails ends this process, to be started again by whatever watches over it: by then others are before it.
TAKE = """
UPDATE inbox SET tries = tries + 1 WHERE id = (
  SELECT id FROM inbox WHERE done_at IS NULL ORDER BY tries, kept_at LIMIT 1
) RETURNING id, body
"""
DONE = "UPDATE inbox SET done_at = CURRENT_TIMESTAMP WHERE id = ?"


def work(event: dict[str, Any]) -> None:
    """Yours. It may be done twice, where this process ends between it and its mark."""
    print(event["type"], event["data"]["task_id"], event["data"]["result_url"], flush=True)


with closing(sqlite3.connect(os.environ["INBOX"], isolation_level=None)) as db:
    while True:
        taken = db.execute(TAKE).fetchall()
        for webhook_id, body in taken:
            work(json.loads(body))
            db.execute(DONE, (webhook_id,))
        if not taken:
            time.sleep(1)
