"""How a process goes on from one look at a queue to the next."""

import pytest

from relay.domain.lanes import LaneName
from relay.storage.look import Look


def looked(look: Look, lanes: list[str], most: int) -> list[str]:
    """As a queue does: the lanes of the client's next window."""
    window = look.window("shop", most)
    found = [lane for lane in lanes if window.after < lane < window.beyond][:most]
    look.ended("shop", LaneName(found[-1]) if len(found) == most else None)
    return found


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9, 10])
@pytest.mark.parametrize("before", range(5))
def test_a_round_sees_every_lane_wherever_it_begins(count: int, before: int) -> None:
    look, lanes = Look(), [f"shop https://{number:02}.test" for number in range(count)]
    for _ in range(before):
        looked(look, lanes, 3)

    look.begin_round()
    seen = [looked(look, lanes, 3)]
    while look.unseen:
        seen.append(looked(look, lanes, 3))

    assert {lane for each in seen for lane in each} == set(lanes)
    assert len(seen) <= count // 3 + 2


def test_a_round_is_over_once_it_is_for_every_client() -> None:
    look = Look()
    look.begin_round()
    look.ended("bank", None)
    look.ended("shop", LaneName("shop https://1.test"))
    between = look.unseen
    look.ended("bank", None)
    look.ended("shop", None)

    assert (between, look.unseen) == (True, False)


def test_a_new_round_has_seen_nothing_yet() -> None:
    look = Look()
    look.ended("shop", LaneName("shop https://1.test"))
    before = look.unseen

    look.begin_round()
    look.ended("shop", None)

    assert (before, look.unseen) == (True, True)
