"""The floor: a bare asyncio loop that makes the relay's three requests through the relay's transport and stores nothing."""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import orjson
import uvloop

from relay.domain.keys import signing_key
from relay.transport import USER_AGENT, AiohttpTransport, parsed, read_answer, release, tls_context
from relay.webhook.signing import Signer

_MOST: Final = 262_144


async def _send(
    transport: AiohttpTransport,
    method: str,
    origin: str,
    target: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    response = await transport.handle_async_request(
        httpx.Request(
            method,
            parsed(origin),
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={"target": target},
        )
    )
    if not response.is_success:
        raise RuntimeError(f"the floor was answered {response.status_code}")
    await read_answer(response, _MOST, bytearray())
    await release(response)


async def _work(transport: AiohttpTransport, question: dict[str, Any], numbers: Iterator[int]) -> None:
    """Each task is three requests one after the other, as many tasks at once as there are workers."""
    user_agent = (b"user-agent", USER_AGENT.encode())
    poll = [user_agent, (b"x-api-key", question["key"].encode())]
    body: bytes = question["body"].encode()
    event, now = question["event"], int(time.time())
    signature = Signer([signing_key(question["secret"])]).sign(event, now, body)
    for number in numbers:
        task_id = f"{question['prefix']}{number:05}".encode()
        target = b"/apis/text-to-sound/" + task_id
        await _send(transport, "GET", question["camb"], target, poll, b"")
        await _send(transport, "GET", question["camb"], target, poll, b"")
        notification = [
            (b"content-type", b"application/json"),
            user_agent,
            (b"webhook-id", event.encode()),
            (b"webhook-timestamp", b"%d" % now),
            (b"webhook-signature", signature),
            (b"relay-event-type", b"task.succeeded"),
            (b"relay-attempt", b"1"),
            (b"relay-registration-id", event.replace("evt_", "reg_").encode()),
            (b"relay-task-id", task_id),
            (b"relay-kind", b"text-to-sound"),
        ]
        await _send(transport, "POST", question["callbacks"], question["path"].encode(), notification, body)


async def main() -> None:
    async with AiohttpTransport(tls_context()) as transport:
        while line := sys.stdin.readline():
            question = orjson.loads(line)
            numbers = iter(range(question["tasks"]))
            async with asyncio.TaskGroup() as group:
                for _ in itertools.repeat(None, question["concurrency"]):
                    group.create_task(_work(transport, question, numbers))
            sys.stdout.write('{"done":true}\n')
            sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
