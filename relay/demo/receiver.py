"""A receiver that believes nothing: each notification is verified by the public `standardwebhooks` library."""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, assert_never

import orjson
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from relay.clock import system_clock
from relay.demo.arrivals import Arrival, Arrivals
from relay.demo.hooks import GRAMMAR, HOOKS, Hook, Reply, hook_of
from relay.demo.serve import serve
from relay.demo.wire import JSON, Sleep, drip, read, respond, until_gone, whole_number
from relay.domain.instants import Instant

CAPACITY: Final = 200_000
_BASE_PATH: Final = "/hooks"
_LARGEST_BODY: Final = 1024 * 1024
_FLOOD: Final = 10 * 1024 * 1024
_SHOWN: Final = 100
_OURS: Final = "relay-"
_RECEIVED: Final = b'{"received":true}'


class Receiver:
    """A plain ASGI application, for benchmarks post to it; what came is open to look at in `arrivals`."""

    def __init__(
        self, *, secrets: Sequence[str], now: Callable[[], Instant], sleep: Sleep, arrivals: Arrivals
    ) -> None:
        self._verifiers = [Webhook(secret) for secret in secrets]
        self._now = now
        self._sleep = sleep
        self.arrivals = arrivals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hook = hook_of(scope["path"].removeprefix(_BASE_PATH).split("/")[1])
        body = await read(receive, _LARGEST_BODY)
        if hook is None or scope["method"] != "POST" or body is None:
            status = 404 if hook is None else 405 if body is not None else 413
            await respond(send, status, b'{"error":"POST to ' + GRAMMAR.encode() + b'"}')
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        complaint = self._complaint(body, headers)
        if complaint is not None:
            self.arrivals.refused_unverified(complaint)
            await respond(send, 401, orjson.dumps({"error": complaint}))
            return
        arrival = self.arrivals.came(headers["webhook-id"], scope["path"], body, _ours(headers), self._now())
        await self._answer(hook, arrival, receive, send)

    def _complaint(self, body: bytes, headers: dict[str, str]) -> str | None:
        """What the last verifier has against it, None if any is content."""
        complaint = "no secret"
        for verifier in self._verifiers:
            try:
                verifier.verify(body, headers, json_parse=False)
            except (
                WebhookVerificationError,
                ValueError,
            ) as error:  # ValueError where the header is malformed
                complaint = str(error)
            else:
                return None
        return complaint

    async def _answer(self, hook: Hook, arrival: Arrival, receive: Receive, send: Send) -> None:
        if not hook.refuses(arrival.arrivals - 1):
            await self._accept(hook, arrival, send)
        elif hook.http_status is None:
            self.arrivals.unanswered()
            await until_gone(receive)
        else:
            self.arrivals.refused(arrival, hook.http_status)
            await respond(send, hook.http_status, b'{"received":false}', (JSON, *hook.headers))

    async def _accept(self, hook: Hook, arrival: Arrival, send: Send) -> None:
        if hook.wait:
            await self._sleep(hook.wait)
        self.arrivals.accepted(arrival, 200, self._now())
        match hook.reply:
            case Reply.PLAIN:
                await respond(send, 200, _RECEIVED)
            case Reply.DRIP:
                await drip(send, 200, _RECEIVED, sleep=self._sleep)
            case Reply.FLOOD:
                await respond(send, 200, b" " * _FLOOD)
            case _:
                assert_never(hook.reply)


def create_receiver(
    *,
    secrets: Sequence[str],
    now: Callable[[], Instant],
    sleep: Sleep = asyncio.sleep,
    capacity: int = CAPACITY,
    keep_bodies: bool = True,
) -> Starlette:
    """`POST /hooks/…` takes notifications signed with any of the `whsec_` secrets, `GET /state` says what came.

    The Receiver itself is `app.state.receiver`. The verifier compares `webhook-timestamp` with the machine's own clock.
    """
    receiver = Receiver(
        secrets=secrets, now=now, sleep=sleep, arrivals=Arrivals(capacity=capacity, keep_bodies=keep_bodies)
    )

    async def state(request: Request) -> Response:
        return Response(orjson.dumps(_state(receiver.arrivals, request)), media_type="application/json")

    app = Starlette(routes=[Mount(_BASE_PATH, receiver), Route("/state", state)])
    app.state.receiver = receiver
    return app


def _state(arrivals: Arrivals, request: Request) -> dict[str, object]:
    """Totals, and a page of events; a query such as `webhook_id=` or `relay-task-id=` picks those that have it."""
    query = dict(request.query_params)
    after, limit = whole_number(request, "after", 0), whole_number(request, "limit", _SHOWN)
    wanted_id = query.get("webhook_id")
    fields = {name: value for name, value in query.items() if name.startswith(_OURS)}

    def wanted(arrival: Arrival) -> bool:
        return wanted_id in {None, arrival.webhook_id} and fields.items() <= arrival.headers.items()

    page = arrivals.select(wanted=wanted, after=after, limit=limit)
    return {
        "totals": arrivals.totals,
        "data": [arrival.snapshot() for arrival in page],
        "next_after": page[-1].sequence if page and len(page) == limit else None,
    }


def _ours(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith(_OURS)}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(
        prog="python -m relay.demo.receiver",
        description=f"A verifying receiver on a port. A path reads {GRAMMAR}.",
        epilog="\n".join(f"{each.pattern:10}{each.sentence}" for each in HOOKS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--secret", action="append", required=True, help="a whsec_ secret; again for a second"
    )
    parser.add_argument("--no-bodies", action="store_true", help="keep only the digest of each body")
    given = parser.parse_args(arguments)
    app = create_receiver(secrets=given.secret, now=system_clock().wall, keep_bodies=not given.no_bodies)
    serve(app, host=given.host, port=given.port)


if __name__ == "__main__":
    main()
