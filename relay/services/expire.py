"""Let registrations expire whose time is over."""

from collections.abc import Callable, Collection
from typing import Final

import structlog

from relay.clock import Clock
from relay.domain.errors import DatabaseUnavailable
from relay.services.announcing import Announcing
from relay.storage import expiry
from relay.storage.engine import Database

MOST_AT_ONCE: Final = 500

_log = structlog.get_logger()


class Expiring:
    """`due` is called when tasks are to be polled once more."""

    def __init__(
        self,
        database: Database,
        *,
        clients: Collection[str],
        due: Callable[[], None],
        announcing: Announcing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._clients = clients
        self._due = due
        self._announcing = announcing
        self._clock = clock

    async def run_once(self) -> None:
        """Do all that is due, unless the clock has jumped: on its word nothing may be thrown away."""
        taken = MOST_AT_ONCE
        while taken >= MOST_AT_ONCE and not self._clock.halted:
            try:
                taken, expired = await self._database.write(
                    expiry.expire, self._clients, self._clock.now(), MOST_AT_ONCE
                )
            except DatabaseUnavailable as error:
                _log.warning("expire.failed", error=str(error))
                return
            self._announcing.tell(expired)
            if taken > len(expired):
                self._due()
