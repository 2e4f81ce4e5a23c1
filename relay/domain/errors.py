"""What may go wrong, by whose fault it is.

RelayError
├── BrokenRule           ours: a state machine was asked for a transition it does not have; never caught
├── RequestRefused       the caller's: mapped once to a problem document
│   ├── InvalidInput     422
│   ├── NotFound         404
│   ├── Conflict         409
│   ├── Gone             410
│   ├── TooMany          429
│   └── Overloaded       503
├── DatabaseUnavailable  the database's
│   └── SchemaMismatch   the database holds a schema this program cannot serve
└── CannotRestore        the operator's: a file that is no backup, or a database that is no place for it

What upstream does wrong is a value (`relay.domain.tasks.UpstreamError`), and so is a failed attempt.
"""

from dataclasses import dataclass


class RelayError(Exception):
    pass


class BrokenRule(RelayError):
    pass


class RequestRefused(RelayError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One rule that one field broke; `field` is a path such as `items.3.task_id`, empty for the whole body."""

    field: str
    rule: str


class InvalidInput(RequestRefused):
    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.rule}" for error in errors))
        self.errors = errors


class NotFound(RequestRefused):
    pass


class Conflict(RequestRefused):
    """`existing` names the registration that stands in the way; `fields` are the options that differ."""

    def __init__(self, detail: str, *, existing: str | None = None, fields: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.existing = existing
        self.fields = fields


class Gone(RequestRefused):
    """What lies beyond a cursor is not there any more, or never was; `oldest` is the one from which all of it is."""

    def __init__(self, detail: str, *, oldest: str) -> None:
        super().__init__(f"{detail}; go on from `oldest`, {oldest}, and look up what you may have missed")
        self.oldest = oldest


class TooMany(RequestRefused):
    """One client asks for more than it may; `retry_after` is in seconds, 1 at least."""

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(f"{detail}; try again in {retry_after} s")
        self.retry_after = retry_after


class Overloaded(RequestRefused):
    """The queue of writes is full: nothing was stored, and the same request may be sent again."""


class DatabaseUnavailable(RelayError):
    """The database did not answer or refused to write; whether a COMMIT under way took hold is unknown."""


class SchemaMismatch(DatabaseUnavailable):
    pass


class CannotRestore(RelayError):
    """Nothing was changed."""
