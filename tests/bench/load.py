"""Posts registrations over connections that stay open, each sending its next once it was answered."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import uvloop


def registration(question: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "task_id": f"{question['prefix']}{number:06}",
        "callback_url": question["callback_url"],
        "metadata": {"order": number},
    }


def _request(question: dict[str, Any], number: int) -> bytes:
    """One registration, or a batch of them."""
    batch = question["batch"]
    if batch == 1:
        path, content = "/v1/registrations", registration(question, number)
    else:
        items = [registration(question, number * batch + each) for each in range(batch)]
        path, content = "/v1/registrations/batch", {"registrations": items}
    body = orjson.dumps(content)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {question['token']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _connection(
    question: dict[str, Any], requests: Iterator[bytes], answers: Counter[str], waits: list[float]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", question["port"])
    for request in requests:
        begun = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        waits.append(time.perf_counter() - begun)
        answers[head.split()[1].decode()] += 1
    writer.close()


async def main() -> None:
    while line := sys.stdin.readline():
        question = orjson.loads(line)
        answers: Counter[str] = Counter()
        waits: list[float] = []
        requests = iter([_request(question, number) for number in range(question["requests"])])
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(question["connections"]):
                group.create_task(_connection(question, requests, answers, waits))
        wall = time.perf_counter() - begun
        sys.stdout.write(orjson.dumps({"wall": wall, "answers": answers, "waits": waits}).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
