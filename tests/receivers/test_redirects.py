"""Answers that point elsewhere, above all to where the relay may not go."""

from typing import Final

import pytest

from relay.domain.deliveries import Rejected
from tests.receivers.calling import Caller
from tests.relays import RelayInHand
from tests.sockets import ACCEPTED, answer, listening

STATUSES: Final = (300, 301, 302, 303, 305, 307, 308)
METADATA: Final = (
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "//169.254.169.254/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "\\\\169.254.169.254\\x",
)


@pytest.mark.parametrize("location", METADATA)
async def test_a_redirect_to_a_metadata_service_goes_nowhere(caller: Caller, location: str) -> None:
    async with listening(answer("302 Found", location=location)) as server:
        attempt = await caller.call(server.origin)

    assert attempt.outcome == Rejected(http_status=302)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", STATUSES)
async def test_a_redirect_is_no_delivery_is_not_followed_and_turns_no_post_into_a_get(
    relay: RelayInHand, status: int
) -> None:
    async with listening(ACCEPTED) as elsewhere:
        pointing = answer(f"{status} Elsewhere", location=f"{elsewhere.origin}/there")
        async with listening(pointing, ACCEPTED) as server:
            registration = await relay.register(callback_url=server.origin)
            meanwhile = await relay.read(registration)
            await relay.pass_to_next("deliveries")
            in_the_end = await relay.read(registration)

    first, second = server.received
    assert (meanwhile["state"], in_the_end["state"]) == ("delivering", "delivered")
    assert [first.method, second.method] == [b"POST", b"POST"]
    assert first.body == second.body != b""
    assert elsewhere.connections == 0
    assert (await relay.attempts(registration))[0]["http_status"] == status
