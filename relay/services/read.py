"""What a client may see: its own registrations, and their attempts."""

from collections.abc import Sequence

from relay.domain.ids import RegistrationId
from relay.storage import views
from relay.storage.engine import Database
from relay.storage.views import AttemptView, Filter, RegistrationView


class Reading:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def registration(self, client: str, wanted: RegistrationId) -> RegistrationView:
        """Raises NotFound, also for what is another client's."""
        return await self._database.read(views.get, client, wanted)

    async def registrations(self, wanted: Filter) -> Sequence[RegistrationView]:
        return await self._database.read(views.find, wanted)

    async def attempts(self, client: str, wanted: RegistrationId) -> Sequence[AttemptView]:
        """Raises NotFound, also for what is another client's."""
        return await self._database.read(views.attempts_of, client, wanted)
