"""How a database goes about what a function reads: by which index, or through the whole table."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, event

from relay.storage.tables import metadata

_READS: Final = re.compile(r"\s*(SELECT|WITH)\b")
_SQLITE: Final = re.compile(r"(SCAN|SEARCH) (\w+)(?:.*? INDEX (\w+))?")
_INDEXED: Final = frozenset({"Index Scan", "Index Only Scan"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """`index` is None where every row of the table is looked at, or every entry of one of its indexes."""

    table: str
    index: str | None


def reads_of(connection: Connection, work: Callable[[Connection], object]) -> list[Read]:
    """Of our tables, by all that `work` selects, in order."""
    seen: list[tuple[str, Any]] = []

    def before(conn: object, cursor: object, sql: str, values: object, *_: object) -> None:
        if _READS.match(sql):
            seen.append((sql, values))

    event.listen(connection, "before_cursor_execute", before)
    work(connection)
    event.remove(connection, "before_cursor_execute", before)
    explained = _on_sqlite if connection.dialect.name == "sqlite" else _on_postgres
    found = [read for sql, values in seen for read in explained(connection, sql, values)]
    return [read for read in found if read.table in metadata.tables]


def _on_sqlite(connection: Connection, sql: str, values: Any) -> Iterator[Read]:  # noqa: ANN401 - as the driver gets them
    for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values):
        if found := _SQLITE.match(row.detail):
            how, table, index = found.groups()
            # A key of whole numbers, or one that has no name, is an index as well.
            yield Read(table=table, index=None if how == "SCAN" else index or "PRIMARY KEY")


def _on_postgres(connection: Connection, sql: str, values: Any) -> Iterator[Read]:  # noqa: ANN401 - as the driver gets them
    (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", values).scalar_one()
    for node in _flat(plan["Plan"]):
        if "Relation Name" not in node:
            continue
        if node["Node Type"] == "Bitmap Heap Scan":
            yield from (
                Read(table=node["Relation Name"], index=inner["Index Name"])
                for inner in _flat(node)
                if inner["Node Type"] == "Bitmap Index Scan"
            )
        else:
            walked = node["Node Type"] in _INDEXED and "Index Cond" in node
            yield Read(table=node["Relation Name"], index=node["Index Name"] if walked else None)


def _flat(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [node, *(inner for child in node.get("Plans", ()) for inner in _flat(child))]
