"""What a replay reads, it reads by an index, however many registrations there are."""

import re
from dataclasses import replace
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Select, event, select, text

from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationState
from relay.domain.replays import Place, Replay, ReplayFilter
from relay.storage import replay_walk, replaying, replays
from relay.storage.replay_walk import count_statement, look_statement
from relay.storage.tables import replay_parts
from tests.storage.replaying import ELSEWHERE, counted, many
from tests.storage.store import HOOK, Store

ROWS: Final = 12_000
TABLES: Final = ("replays", "replay_parts", "registrations", "deliveries", "events", "tasks", "lanes")
WHOLE: Final = ReplayFilter(
    state=RegistrationState.DEAD, kind="tts", origin=HOOK, since=Instant(0), until=Instant(2**60)
)
FILTERS: Final = (ReplayFilter(state=RegistrationState.DEAD), replace(WHOLE, origin=None), WHOLE)


def fill(connection: Connection, at: int) -> None:
    many(connection, ROWS, at=at)
    many(connection, 10, at=at, origin=ELSEWHERE, kind="dub")
    for table in TABLES:
        connection.execute(text(f"ANALYZE {table}"))


def statements_of(connection: Connection, work: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - any function over the connection
    """What it selects, as the driver gets it."""
    seen: list[tuple[str, Any]] = []

    def before(conn: object, cursor: object, sql: str, values: object, *_: object) -> None:
        if sql.lstrip().startswith("SELECT"):
            seen.append((sql, values))

    event.listen(connection, "before_cursor_execute", before)
    work(connection)
    event.remove(connection, "before_cursor_execute", before)
    return seen


def everything(connection: Connection, replay: Replay, now: Instant) -> None:
    """Every statement that a replay of any size reads with."""
    for wanted in FILTERS:
        replay_walk.count(connection, "shop", wanted, now, Place(origin="https://a", registration="x"))
    replaying.step(connection, replay.id, now)
    replays.get(connection, "shop", replay.id)
    replays.find(connection, "shop", replay.id, 50)
    replays.find_open(connection, ["shop"])


async def test_on_sqlite_nothing_is_read_without_an_index(sqlite: Store) -> None:
    await sqlite.write(fill, sqlite.now)
    replay = await counted(sqlite)

    def plans(connection: Connection) -> list[tuple[str, str]]:
        seen = statements_of(connection, lambda conn: everything(conn, replay, sqlite.now))
        return [
            (sql, row.detail)
            for sql, values in seen
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        ]

    found = await sqlite.write(plans)

    reads = [detail for _, detail in found if re.match(r"(SCAN|SEARCH) ", detail)]
    scans = {detail.split()[1] for detail in reads if detail.startswith("SCAN")}
    assert len(reads) > 20
    assert scans <= {"ended", "found", "anon_1"}, reads
    walks = {
        detail for detail in reads if detail.startswith("SEARCH registrations") and "(id=?)" not in detail
    }
    by_place = (
        "SEARCH registrations USING INDEX ix_registrations_ended (client=? AND state=? AND (origin,id)>(?,?)"
    )
    assert walks == {
        f"{by_place})",
        f"{by_place} AND origin<?)",
        f"{by_place} AND (origin,id)<(?,?))",
    }


async def test_on_sqlite_a_walk_sorts_nothing(sqlite: Store) -> None:
    await sqlite.write(fill, sqlite.now)

    def sorts(connection: Connection) -> list[str]:
        seen = statements_of(
            connection, lambda conn: replay_walk.count(conn, "shop", FILTERS[0], sqlite.now, Place())
        )
        return [
            row.detail
            for sql, values in seen
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            if "B-TREE" in row.detail and "GROUP BY" not in row.detail
        ]

    assert await sqlite.write(sorts) == []


@pytest.mark.parametrize("wanted", FILTERS, ids=["all", "narrowed", "one origin"])
async def test_on_postgres_a_walk_reads_its_slice_by_the_index(postgres: Store, wanted: ReplayFilter) -> None:
    await postgres.write(fill, postgres.now)

    def nodes(connection: Connection) -> list[dict[str, Any]]:
        place = Place(origin=HOOK, registration="x")
        return plan_of(connection, count_statement("shop", wanted, postgres.now, place))

    found = await postgres.write(nodes)

    walked = [node for node in found if node.get("Relation Name") == "registrations"]
    assert [node.get("Index Name") for node in walked] == ["ix_registrations_ended"]


async def test_on_postgres_a_step_reads_its_rows_by_the_index(postgres: Store) -> None:
    await postgres.write(fill, postgres.now)
    replay = await counted(postgres, WHOLE)

    def nodes(connection: Connection) -> list[dict[str, Any]]:
        (part,) = connection.execute(select(replay_parts)).all()
        return plan_of(connection, look_statement(replay, part, 1_000))

    found = await postgres.write(nodes)

    walked = [node for node in found if node.get("Relation Name") == "registrations"]
    assert [node.get("Index Name") for node in walked] == ["ix_registrations_ended"]


def plan_of(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
    (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {compiled}").scalar_one()
    return list(flat(plan["Plan"]))


def flat(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(inner for child in node.get("Plans", ()) for inner in flat(child))]
