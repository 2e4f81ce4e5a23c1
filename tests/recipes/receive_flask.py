"""RELAY_SIGNING_SECRET=whsec_… INBOX=inbox.db flask --app receive_flask run"""

import os
import sqlite3
from contextlib import closing

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

INBOX = os.environ["INBOX"]
webhook = Webhook(os.environ["RELAY_SIGNING_SECRET"])
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1 << 20


@app.post("/hooks/camb")
def hook() -> tuple[str, int]:
    body = request.get_data()  # as it came: JSON that was parsed and written again has another signature
    try:
        webhook.verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError where a header makes no sense
        return "", 401
    with closing(sqlite3.connect(INBOX)) as db, db:  # the same statement on PostgreSQL
        statement = "INSERT INTO inbox (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
        db.execute(statement, (request.headers["webhook-id"], body))
    return "", 204  # only now: what was answered is not sent again
