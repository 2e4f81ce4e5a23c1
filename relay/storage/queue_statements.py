"""The SQL of a queue, whatever its table: to find the lanes with due work, and to claim some of each."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Table


def skip_scan(table: Table, lane: Column[Any]) -> str:
    within = f"FROM {table.name} WHERE next_at IS NOT NULL AND {lane.name} < :beyond AND {lane.name}"
    return f"""
        WITH RECURSIVE lanes (lane, number) AS (
            SELECT (SELECT min({lane.name}) {within} > :after), 1
            UNION ALL
            SELECT (SELECT min({lane.name}) {within} > lanes.lane), lanes.number + 1
            FROM lanes WHERE lanes.lane IS NOT NULL AND lanes.number < :most
        )"""  # noqa: S608 - both names come from tables.py


def find_statements(table: Table, lane: Column[Any]) -> dict[str, str]:
    """Lanes in order, each with its number and its oldest due row; without one only the last that a window holds."""
    skip = skip_scan(table, lane)
    oldest = f"""
        SELECT next_at FROM {table.name}
        WHERE {lane.name} = lanes.lane AND next_at IS NOT NULL AND next_at <= :now"""  # noqa: S608 - names from tables.py
    return {
        "sqlite": f"""{skip},
            found (lane, number, oldest) AS (
                SELECT lane, number, ({oldest} ORDER BY next_at LIMIT 1) FROM lanes WHERE lane IS NOT NULL
            )
            SELECT lane, number, oldest FROM found WHERE oldest IS NOT NULL OR number = :most""",  # noqa: S608 - names from tables.py
        "postgresql": f"""{skip}
            SELECT lanes.lane, lanes.number, due.next_at
            FROM lanes
            LEFT JOIN unnest(CAST(:lanes AS text[]), CAST(:floors AS bigint[])) AS known (lane, floor)
                ON known.lane = lanes.lane
            LEFT JOIN LATERAL (
                {oldest} AND next_at >= COALESCE(known.floor, 0) ORDER BY next_at LIMIT 1
            ) AS due ON true
            WHERE lanes.lane IS NOT NULL AND (due.next_at IS NOT NULL OR lanes.number = :most)
            ORDER BY lanes.number""",  # noqa: S608 - names from tables.py
    }


def claim_statements(
    table: Table, lane: Column[Any], key: Column[Any], told: Sequence[Column[Any]]
) -> dict[str, str]:
    returning = ", ".join(f"{table.name}.{column.name}" for column in (key, table.c.fence, *told))
    return {
        "sqlite": f"""
            UPDATE {table.name} SET fence = fence + 1, leased_until = :until, next_at = :until
            WHERE {key.name} IN (
                SELECT {key.name} FROM {table.name}
                WHERE {lane.name} = :lane AND next_at IS NOT NULL AND next_at <= :now
                ORDER BY next_at LIMIT :count
            )
            RETURNING {returning}""",  # noqa: S608 - the names come from tables.py
        # MATERIALIZED, for the IN form can be planned so that it claims more than its limit.
        "postgresql": f"""
            WITH due AS MATERIALIZED (
                SELECT found.{key.name}
                FROM unnest(CAST(:lanes AS text[]), CAST(:floors AS bigint[]), CAST(:counts AS bigint[]))
                    AS take (lane, floor, count)
                CROSS JOIN LATERAL (
                    SELECT {key.name} FROM {table.name}
                    WHERE {lane.name} = take.lane AND next_at <= :now AND next_at >= take.floor
                    ORDER BY next_at LIMIT take.count
                    FOR NO KEY UPDATE SKIP LOCKED
                ) AS found
            )
            UPDATE {table.name} SET fence = fence + 1, leased_until = :until, next_at = :until
            FROM due WHERE {table.name}.{key.name} = due.{key.name}
            RETURNING {returning}""",  # noqa: S608 - names from tables.py
    }
