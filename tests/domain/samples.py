from typing import Final

from relay.domain.ids import registration_id, task_ref
from relay.domain.instants import HOUR, SECOND, Instant
from relay.domain.registrations import Format, Registration
from relay.domain.tasks import (
    Poll,
    PollAnswer,
    PollResult,
    TaskReport,
    TaskState,
    UpstreamError,
    parse_report,
)
from relay.domain.watching import Task

NOON: Final = Instant(1_795_435_200 * SECOND)
"""2026-11-23T12:00:00Z."""

REGISTRATION: Final = Registration(
    id=registration_id(NOON, 1),
    client="shop",
    kind="text-to-sound",
    task_id="t-1",
    callback_url="https://shop.example/hook?token=s3cret",
    origin="https://shop.example",
    format=Format.STANDARD,
    metadata=b'{"order":7}',
    expires_in=None,
    created_at=NOON,
    expires_at=Instant(NOON + 24 * HOUR),
)

TASK: Final = Task(
    ref=task_ref("shop", "text-to-sound", "t-1"),
    client="shop",
    kind="text-to-sound",
    task_id="t-1",
    state=TaskState.WATCHING,
    next_at=Instant(NOON + 25 * SECOND),
    leased_until=Instant(NOON + 25 * SECOND),
    fence=1,
    paced_from=NOON,
)


def at(seconds: float) -> Instant:
    """So many seconds past NOON."""
    return Instant(NOON + round(seconds * SECOND))


def report(body: bytes) -> TaskReport:
    read = parse_report(body)
    assert read is not None
    return read


def trouble(result: PollResult) -> UpstreamError:
    """An UpstreamError with the HTTP status that goes with it."""
    return UpstreamError(result=result, http_status=TROUBLES[result])


def poll(answer: PollAnswer, begun: float, ended: float | None = None) -> Poll:
    """A poll begun so many seconds past NOON, answered half a second later if nothing else is said."""
    return Poll(begun_at=at(begun), ended_at=at(begun + 0.5 if ended is None else ended), answer=answer)


TROUBLES: Final = {
    PollResult.NOT_FOUND: 404,
    PollResult.UNAUTHORIZED: 401,
    PollResult.RATE_LIMITED: 429,
    PollResult.SERVER_ERROR: 503,
    PollResult.UNEXPECTED_STATUS: 302,
    PollResult.INVALID: 200,
    PollResult.TIMEOUT: None,
    PollResult.UNREACHABLE: None,
}
PENDING: Final = report(b'{"status":"PENDING"}')
SUCCESS: Final = report(b'{"status":"SUCCESS","run_id":123}')
FAILED: Final = report(b'{"status":"ERROR","exception_reason":"SOURCE_TOO_LONG"}')
NOT_FOUND: Final = trouble(PollResult.NOT_FOUND)
