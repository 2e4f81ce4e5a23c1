"""What a relay's stream of events consists of, made up."""

import json

import httpx


def item(number: int, *, signed_at: int = 1_795_000_000, body: str = '{"run_id":1.0}') -> dict[str, object]:
    return {
        "id": f"evt_{number}",
        "cursor": f"s-{number}",
        "type": "task.succeeded",
        "created_at": "2026-11-23T13:00:00.000Z",
        "registration_id": f"reg_{number}",
        "task_id": f"task-{number}",
        "kind": "tts",
        "headers": {
            "content-type": "application/json",
            "user-agent": "camb-relay/0",
            "webhook-id": f"evt_{number}",
            "webhook-timestamp": str(signed_at),
        },
        "body": body,
    }


def sent(*items: dict[str, object]) -> bytes:
    return b"retry: 500\n\n" + b"".join(
        f"id: {each['cursor']}\nevent: {each['type']}\ndata: {json.dumps(each)}\n\n".encode()
        for each in items
    )


def stream_of(*items: dict[str, object]) -> httpx.Response:
    return httpx.Response(200, content=sent(*items))


def problem(status: int, **more: object) -> httpx.Response:
    document = {"type": "urn:x", "title": "T", "status": status, "detail": "no", **more}
    return httpx.Response(status, json=document)
