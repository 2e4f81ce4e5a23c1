"""RELAY_PUBLIC_KEY=whpk_… INBOX=inbox.db uvicorn receive_fastapi:app (holds no secret)"""

import os
import sqlite3
import time
from base64 import b64decode
from collections.abc import Mapping
from contextlib import closing, suppress

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

INBOX = os.environ["INBOX"]
key = Ed25519PublicKey.from_public_bytes(b64decode(os.environ["RELAY_PUBLIC_KEY"].removeprefix("whpk_")))
app = FastAPI(max_body_size=1 << 20)


@app.post("/hooks/camb", status_code=204)
async def hook(request: Request) -> None:
    body = await request.body()  # as it came: JSON that was parsed and written again has another signature
    try:
        verify(request.headers, body)
    except (InvalidSignature, LookupError, ValueError):  # a header is missing, or makes no sense
        raise HTTPException(401) from None
    await run_in_threadpool(keep, request.headers["webhook-id"], body)


def verify(headers: Mapping[str, str], body: bytes) -> None:
    sent_at = headers["webhook-timestamp"]
    if abs(int(time.time()) - int(sent_at)) > 300:
        raise InvalidSignature
    signed = f"{headers['webhook-id']}.{sent_at}.".encode() + body
    for version, _, signature in (entry.partition(",") for entry in headers["webhook-signature"].split()):
        with suppress(InvalidSignature):
            if version == "v1a":
                return key.verify(b64decode(signature), signed)
    raise InvalidSignature


def keep(webhook_id: str, body: bytes) -> None:
    with closing(sqlite3.connect(INBOX)) as db, db:  # the same statement on PostgreSQL
        db.execute("INSERT INTO inbox (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING", (webhook_id, body))
