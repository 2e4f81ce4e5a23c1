"""RELAY_URL=http://localhost:8080 RELAY_TOKEN=… python register.py TASK_ID CALLBACK_URL"""

import os
import sys
import time
from contextlib import suppress
from typing import Any

import httpx


def register(relay: httpx.Client, task_id: str, callback_url: str, **more: object) -> dict[str, Any]:
    """The registration. It is safe to ask again: the same one is made once."""
    for seconds in (1, 2, 4, 8, 0):
        wait: float = seconds
        with suppress(httpx.TransportError):
            wish = {"task_id": task_id, "callback_url": callback_url, **more}
            answer = relay.post("/v1/registrations", json=wish)
            if answer.is_success:
                registration: dict[str, Any] = answer.json()
                return registration
            if answer.status_code != 429 and answer.status_code < 500:
                raise RuntimeError(answer.text)  # it says what is wrong with which field
            wait = float(answer.headers.get("retry-after", seconds))
        time.sleep(wait)
    raise RuntimeError("the relay could not be asked")


if __name__ == "__main__":
    headers = {"authorization": f"Bearer {os.environ['RELAY_TOKEN']}"}
    with httpx.Client(base_url=os.environ["RELAY_URL"], headers=headers, timeout=30) as client:
        print(register(client, sys.argv[1], sys.argv[2])["id"])
