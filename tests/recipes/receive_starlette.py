"""RELAY_SIGNING_SECRET=whsec_… INBOX=inbox.db uvicorn receive_starlette:app"""

import os
import sqlite3
from contextlib import closing

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

INBOX = os.environ["INBOX"]
webhook = Webhook(os.environ["RELAY_SIGNING_SECRET"])


async def hook(request: Request) -> Response:
    body = await request.body()  # as it came: JSON that was parsed and written again has another signature
    try:
        webhook.verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError where a header makes no sense
        return Response(status_code=401)
    await run_in_threadpool(keep, request.headers["webhook-id"], body)
    return Response(status_code=204)  # only now: what was answered is not sent again


def keep(webhook_id: str, body: bytes) -> None:
    with closing(sqlite3.connect(INBOX)) as db, db:  # the same statement on PostgreSQL
        db.execute("INSERT INTO inbox (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING", (webhook_id, body))


app = Starlette(routes=[Route("/hooks/camb", hook, methods=["POST"])], max_body_size=1 << 20)
