"""Statements for many rows, at no cost but the rows'."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Delete,
    Dialect,
    Insert,
    Table,
    TextClause,
    Update,
    bindparam,
    update,
)


class Many:
    """Compiled once for each dialect, where SQLAlchemy would prepare the parameters of each row anew: half of what a row costs.

    A row names every parameter that has no value in the statement. Nothing is converted: a row holds what the driver takes.
    """

    def __init__(self, statement: Insert | Update | Delete | TextClause) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, Sequence[str], Mapping[str, Any]]] = {}

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        if connection.dialect.name not in self._compiled:
            self._compile(connection.dialect)
        sql, order, fixed = self._compiled[connection.dialect.name]
        if fixed:
            values = [tuple([fixed[name] if name in fixed else row[name] for name in order]) for row in rows]
        elif len(order) == 1:
            values = [(row[order[0]],) for row in rows]
        else:
            values = list(map(itemgetter(*order), rows))
        connection.exec_driver_sql(sql, values)

    def _compile(self, dialect: Dialect) -> None:
        compiled = self._statement.compile(dialect=dialect)
        if compiled.positiontup is None:
            raise TypeError("the driver must number its parameters or place them")
        fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._compiled[dialect.name] = str(compiled), compiled.positiontup, fixed


class Saving:
    """Writes what objects hold under the names of these columns into the rows with their keys."""

    def __init__(self, table: Table, *, key: Column[Any], values: Iterable[Column[Any]]) -> None:
        names = [column.name for column in values]
        statement = update(table).where(key == bindparam("b_key"))
        self._save = Many(statement.values({table.c[name]: bindparam(f"b_{name}") for name in names}))
        self._parameters = ("b_key", *(f"b_{name}" for name in names))
        self._values_of = attrgetter(*names)

    def run(self, connection: Connection, changed: Mapping[Any, object]) -> None:
        self._save.run(
            connection,
            [
                dict(zip(self._parameters, (key, *self._values_of(item)), strict=True))
                for key, item in changed.items()
            ],
        )
