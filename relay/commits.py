"""What is written in batches: registrations, the answers to polls, attempts."""

import asyncio
from functools import partial
from typing import Any, Final

from relay.clock import Clock
from relay.domain.registrations import Registration
from relay.policies import lost_rule, slot_policy
from relay.settings import Settings
from relay.storage import attempts, polls, registrations
from relay.storage.attempts import AttemptOutcome, RecordedAttempt
from relay.storage.committer import Committer
from relay.storage.engine import Database
from relay.storage.polls import PollOutcome, RecordedPoll
from relay.storage.registrations import Registered
from relay.telemetry import Metrics

MOST_WAITING: Final = 20_000
"""Registrations that may wait for their commit before the API answers 503."""


class Commits:
    """One committer for each kind of row, opened and closed together."""

    def __init__(self, settings: Settings, database: Database, *, clock: Clock, metrics: Metrics) -> None:
        base_urls = {name: client.camb_base_url for name, client in settings.clients_by_name().items()}
        commit = partial(Committer, database=database, clock=clock, metrics=metrics)
        self.accepted: Committer[Registration, Registered] = commit(
            "registrations",
            write=partial(registrations.register, base_urls=base_urls),
            keeps=False,
            capacity=MOST_WAITING,
        )
        self.polled: Committer[PollOutcome, RecordedPoll] = commit(
            "polls", write=partial(polls.record, lost=lost_rule(settings)), keeps=True
        )
        self.attempted: Committer[AttemptOutcome, RecordedAttempt] = commit(
            "attempts", write=partial(attempts.record, slots=slot_policy(settings)), keeps=True
        )

    def open(self) -> None:
        for committer in self._all:
            committer.open()

    async def close(self) -> None:
        await asyncio.gather(*(committer.close() for committer in self._all))

    @property
    def _all(self) -> tuple[Committer[Any, Any], ...]:
        return (self.accepted, self.polled, self.attempted)
