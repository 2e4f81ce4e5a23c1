"""The part of `make interop` that needs no Node."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.interop.messages import ODD_BODIES, Received, received
from tests.interop.verifiers import PYTHONS

WAYS_TO_FORGE = 10


@pytest.fixture(scope="module")
def messages() -> Sequence[Received]:
    return asyncio.run(received(seed=7, count=20))


@pytest.mark.parametrize("name", PYTHONS)
def test_a_verifier_that_is_not_ours_accepts_what_the_sender_signed(
    messages: Sequence[Received], name: str
) -> None:
    genuine = [message for message in messages if message.forged is None]

    refused = [message.body[:80] for message in genuine if not PYTHONS[name](message)]

    assert len(genuine) == len(ODD_BODIES) + 20
    assert refused == []


@pytest.mark.parametrize("name", PYTHONS)
def test_a_verifier_that_is_not_ours_refuses_what_a_forger_altered(
    messages: Sequence[Received], name: str
) -> None:
    forged = [message for message in messages if message.forged is not None]

    accepted = [(message.forged, message.body[:80]) for message in forged if PYTHONS[name](message)]

    assert len({message.forged for message in forged}) == WAYS_TO_FORGE
    assert accepted == []
