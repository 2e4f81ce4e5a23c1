from dataclasses import replace
from typing import Final

import pytest

from relay.domain.clients import Client
from relay.domain.instants import MINUTE, SECOND, Instant
from relay.domain.lanes import Lane
from relay.domain.survey import IDLE, KeyHealth, KeyState, health_of, keys_of

NOON: Final = Instant(1_795_435_200 * SECOND)


def client(name: str, key: str = "one") -> Client:
    return Client(
        name=name,
        camb_base_url="https://camb.example/apis",
        camb_api_key=key,
        api_token_digests=frozenset(),
        signing_keys=(),
        default_kind="tts",
    )


def test_clients_on_one_key_are_told_of_together_by_name() -> None:
    keys = keys_of([client("shop"), client("apart", "another"), client("bank")])

    assert list(keys.values()) == [("apart",), ("bank", "shop")]


LANE: Final = Lane(name=client("shop").key_lane)
PAUSED: Final = LANE.after_failure(NOON, NOON, None)
REFUSED: Final = LANE.after_refusal(NOON, NOON, None)
WELL: Final = KeyHealth(clients=("shop",), state=KeyState.WELL, paused_until=None, failures=0, since=None)


@pytest.mark.parametrize(
    ("lane", "after", "health"),
    [
        (None, 0, WELL),
        (LANE, 0, WELL),
        (PAUSED.after_answer(Instant(NOON + 1)), 0, WELL),
        (PAUSED, 0, replace(WELL, state=KeyState.PAUSED, paused_until=Instant(NOON + SECOND), failures=1)),
        (PAUSED, SECOND, replace(WELL, state=KeyState.PAUSED, failures=1)),
        (PAUSED, SECOND + IDLE, WELL),
        (
            REFUSED,
            1,
            replace(
                WELL, state=KeyState.REFUSED, paused_until=Instant(NOON + MINUTE), failures=1, since=NOON
            ),
        ),
        (REFUSED.after_answer(Instant(NOON + 1)), 0, WELL),
    ],
)
def test_a_keys_health_is_what_its_lane_says(lane: Lane | None, after: int, health: KeyHealth) -> None:
    keys = keys_of([client("shop")])

    known = {} if lane is None else {lane.name: lane}
    assert health_of(keys, known, Instant(NOON + after)) == (health,)
