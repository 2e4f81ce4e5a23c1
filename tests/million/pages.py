"""Everything that people and programs read page by page, as they ask for it of a store that `seeding` has filled."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from relay.domain.deliveries import DeadReason
from relay.domain.ids import ReplayId
from relay.domain.instants import DAY, HOUR, Instant
from relay.domain.lanes import LaneName
from relay.domain.registrations import RegistrationState
from relay.domain.replays import Place, ReplayFilter
from relay.domain.rollups import EVERYBODY, ChartSpan
from relay.storage import (
    bounds,
    feeds,
    histories,
    lists,
    origins,
    replay_walk,
    replays,
    rollups,
    survey,
    views,
)
from relay.storage.lists import Filter
from tests.million.seeding import CLIENT, NOW, OTHER, dead_id

Page = Callable[[Connection], object]

LIMIT: Final = 50
KEYS: Final = MappingProxyType({LaneName("key:1"): (CLIENT,), LaneName("key:2"): (OTHER,)})
ORIGIN: Final = "https://7.example"
PAUSED: Final = "https://20.example"
NEW: Final = Instant(NOW - DAY)
OLD: Final = Instant(NOW - 20 * DAY)
KEY: Final = LaneName("key:1")


def _list(**narrowed: object) -> Page:
    wanted = Filter(client=CLIENT, limit=LIMIT, **narrowed)  # type: ignore[arg-type]  # a Filter's own fields
    return lambda connection: lists.find(connection, wanted)


def _count(wanted: ReplayFilter) -> Page:
    return lambda connection: replay_walk.count(connection, CLIENT, wanted, NOW, Place())


def _chart(clients: Sequence[str], span: ChartSpan) -> Page:
    return lambda connection: rollups.read(connection, clients, span, span.starts(NOW)[0])


def pages(rows: int) -> Mapping[str, Mapping[str, Page]]:
    """What a page may show, by what it is a page of, where there are so many registrations."""
    one = dead_id(rows)
    return {
        "a list of registrations": {
            "all": _list(),
            **{state.value: _list(state=state) for state in RegistrationState},
            "a task": _list(task_id="named"),
            "a common kind": _list(kind="tts"),
            "an origin": _list(origin=ORIGIN),
            "an origin's dead": _list(origin=ORIGIN, state=RegistrationState.DEAD),
            "a reason": _list(dead_reason=DeadReason.BLOCKED),
            "an origin's reason": _list(origin=ORIGIN, dead_reason=DeadReason.GONE),
            "since": _list(since=NEW, state=RegistrationState.WATCHING),
            "until": _list(until=OLD),
            "until, of an origin": _list(until=OLD, origin=ORIGIN),
        },
        "a list by a kind that nobody has": {"the first": _list(kind="discord-tts")},
        "one registration": {
            "itself": lambda connection: views.get(connection, CLIENT, one),
            "its attempts": lambda connection: views.attempts_of(connection, CLIENT, one, 0, LIMIT),
            "its timeline": lambda connection: histories.read(connection, CLIENT, one, KEY, LIMIT),
        },
        "events after a cursor": {
            "the oldest": lambda connection: feeds.read(connection, CLIENT, None, LIMIT),
            "from the middle": lambda connection: feeds.read(connection, CLIENT, rows // 2, LIMIT),
        },
        "whether there is news": {
            "of both clients": lambda connection: feeds.news(connection, [CLIENT, OTHER], [one]),
        },
        "how things stand": {
            "one client": lambda connection: survey.survey(connection, {KEY: (CLIENT,)}, NOW),
            "all clients": lambda connection: survey.survey(connection, KEYS, NOW),
        },
        "charts": {
            "an hour": _chart([CLIENT], ChartSpan.HOUR),
            "a day": _chart([CLIENT], ChartSpan.DAY),
            "a day of all": _chart([EVERYBODY], ChartSpan.DAY),
            "a day of some": _chart([CLIENT, OTHER], ChartSpan.DAY),
        },
        "the dead by reason and origin": {
            "10,000 of them": lambda connection: survey.dead_groups(connection, CLIENT, 10_000),
        },
        "origins": {
            "the first": lambda connection: origins.find(connection, CLIENT, "", NOW, LIMIT),
            "how one answers": lambda connection: origins.latencies(connection, CLIENT, [ORIGIN]),
            "the next": lambda connection: origins.find(connection, CLIENT, PAUSED, NOW, LIMIT),
        },
        "replays": {
            "a list": lambda connection: replays.find(connection, CLIENT, None, LIMIT),
            "one": lambda connection: replays.get(connection, CLIENT, ReplayId("rpl_0")),
        },
        "a slice of a replay's count": {
            "the dead": _count(ReplayFilter(state=RegistrationState.DEAD)),
            "an origin's": _count(ReplayFilter(state=RegistrationState.DEAD, origin=ORIGIN)),
            "of a kind": _count(ReplayFilter(state=RegistrationState.DEAD, kind="dub")),
            "of a time": _count(
                ReplayFilter(state=RegistrationState.DELIVERED, since=Instant(NOW - HOUR), until=NOW)
            ),
        },
        "what is counted for bounds and metrics": {
            "watched": lambda connection: bounds.count_watching(connection, CLIENT, 10_000),
            "dead": lambda connection: lists.count_dead(connection, DeadReason.EXHAUSTED, 10_000),
        },
    }
