"""A signing key is replaced between the attempts of one event, and no receiver is left without a signature it knows."""

from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from relay.clock import system_clock
from relay.domain.keys import KeyPair, SharedSecret, SigningKey
from relay.webhook.signing import new_pair
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    SUCCESS,
    TOKEN,
    HandClock,
    World,
    client_section,
    open_relay,
    settings_for,
    sqlite_url,
)
from tests.webhook.receivers import Receiver, knowing_pair, knowing_secret

SECRETS = SharedSecret(secret=bytes(range(32))), SharedSecret(secret=bytes(range(32, 64)))
PAIRS = new_pair(bytes(range(32))), new_pair(bytes(range(32, 64)))


def knowing(key: SigningKey) -> Receiver:
    return knowing_pair(key) if isinstance(key, KeyPair) else knowing_secret(key)


async def attempts(folder: Path, steps: Sequence[Sequence[SigningKey]]) -> list[httpx.Request]:
    """One event, tried once by a relay of each configuration, the last of which is answered 2xx."""
    hands = HandClock(system_clock().wall())  # the receivers look at a real clock
    world = World(hands.clock.now)
    world.task("task-1", SUCCESS)
    hook = world.hook(HOOK, *[FAILING] * (len(steps) - 1), OK)
    registration = state = ""
    for keys in steps:
        client = client_section(TOKEN, signing_secrets=[key.text for key in keys])
        settings = settings_for(
            sqlite_url(folder),
            clients={"default": client},
            delivery={"retry_schedule": ["PT1S"] * len(steps)},
        )
        async with open_relay(settings, hands=hands, world=world) as relay:
            if registration:
                await relay.pass_to_next("deliveries")
            else:
                registration = await relay.register()
            state = (await relay.read(registration))["state"]
    assert state == "delivered"
    assert len(hook.requests) == len(steps)
    return hook.requests


@pytest.mark.parametrize(
    ("old", "new"),
    [(SECRETS[0], SECRETS[1]), (PAIRS[0], PAIRS[1]), (SECRETS[0], PAIRS[0]), (PAIRS[0], SECRETS[0])],
    ids=["v1", "v1a", "v1 to v1a", "v1a to v1"],
)
async def test_a_key_is_replaced_between_attempts_without_a_gap(
    old: SigningKey, new: SigningKey, tmp_path: Path
) -> None:
    requests = await attempts(tmp_path, [[old], [old, new], [new, old], [new]])

    verified = [
        [knowing(key)(request.headers, request.content) for key in (old, new)] for request in requests
    ]
    assert verified == [[True, False], [True, True], [True, True], [False, True]]
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    assert len({request.content for request in requests}) == 1


async def test_two_keys_of_each_sort_are_replaced_at_once(tmp_path: Path) -> None:
    old: list[SigningKey] = [SECRETS[0], PAIRS[0]]
    new: list[SigningKey] = [SECRETS[1], PAIRS[1]]

    requests = await attempts(tmp_path, [old, [*new, *old], new])

    verified = [
        [knowing(key)(request.headers, request.content) for key in (*old, *new)] for request in requests
    ]
    assert verified == [[True, True, False, False], [True] * 4, [False, False, True, True]]
