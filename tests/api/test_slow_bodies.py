import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from relay.api.problems import Unacceptable
from relay.api.requests import read_json


async def test_a_body_that_never_ends_is_given_up_with_408() -> None:
    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Message:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    headers = [(b"content-type", b"application/json")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)

    with pytest.raises(Unacceptable) as refused:
        await read_json(request, 100, within=0.01)

    assert refused.value.status_code == 408
