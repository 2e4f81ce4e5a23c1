"""Tasks that go on coming once the play is over, so that there is something to look at."""

import asyncio
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from relay.demo.application import Application
from relay.demo.scenario import CLIENTS

WELL: Final = "well"
MOODY: Final = "moody"
DOWN: Final = "down"
RECEIVERS: Final = (WELL, MOODY, DOWN)
"""Each is an origin of its own, and most of what is sent to it goes as its name says."""

_PAUSE_SECONDS: Final = (0.3, 1.7)
_KINDS: Final = ("text-to-sound", "tts", "dub", "transcribe", "translate", "story")


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """One in `weight` of all; without a `receiver` the event is pulled by whoever wants it."""

    behaviour: str
    weight: int
    receiver: str | None = WELL
    hook: str = "ok"
    after: tuple[float, float] | None = (1, 9)


HABITS: Final = (
    Habit(behaviour="success", weight=46),
    Habit(behaviour="success", weight=5, hook="slow-1"),
    Habit(behaviour="error", weight=7),
    Habit(behaviour="timeout", weight=2),
    Habit(behaviour="success", weight=5, receiver=None),
    Habit(behaviour="lost", weight=2, after=None),
    Habit(behaviour="server-errors", weight=3, after=None),
    Habit(behaviour="success", weight=8, receiver=MOODY, hook="fail-1"),
    Habit(behaviour="success", weight=5, receiver=MOODY, hook="fail-2"),
    Habit(behaviour="success", weight=3, receiver=MOODY, hook="busy-2"),
    Habit(behaviour="success", weight=4, receiver=MOODY),
    Habit(behaviour="success", weight=2, receiver=MOODY, hook="gone"),
    Habit(behaviour="success", weight=4, receiver=DOWN, hook="fail"),
    Habit(behaviour="error", weight=2, receiver=DOWN, hook="hang"),
    Habit(behaviour="success", weight=2, receiver=DOWN, hook="status-400"),
)


class Traffic:
    """`receivers` are URLs, by the names above."""

    def __init__(self, application: Application, receivers: Mapping[str, str], rng: random.Random) -> None:
        self._application = application
        self._receivers = receivers
        self._rng = rng

    async def go_on(self) -> None:
        """Until it is cancelled. Raises Refused."""
        for number in itertools.count(1):
            client, wish = self.next_wish(number)
            await self._application.register(client, wish)
            await asyncio.sleep(self._rng.uniform(*_PAUSE_SECONDS))

    def next_wish(self, number: int) -> tuple[str, dict[str, object]]:
        """The client, and what it asks the relay for."""
        rng = self._rng
        (habit,) = rng.choices(HABITS, [each.weight for each in HABITS])
        after = "" if habit.after is None else f"after-{rng.uniform(*habit.after):.1f}-"
        wish: dict[str, object] = {
            "task_id": f"{habit.behaviour}-{after}live-{number}",
            "kind": rng.choice(_KINDS),
            "metadata": {"order": number},
        }
        if habit.receiver is not None:
            wish["callback_url"] = f"{self._receivers[habit.receiver]}/hooks/{habit.hook}"
        return rng.choice(CLIENTS), wish
