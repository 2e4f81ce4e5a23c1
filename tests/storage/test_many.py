import pytest
from sqlalchemy import BindParameter, bindparam, create_engine, text, update

from relay.storage.many import Many
from relay.storage.tables import clients
from tests.storage.store import Store

ADD = Many(text("INSERT INTO clients (last_position, name) VALUES (:place, :name)"))
NAME: BindParameter[str] = bindparam("b_name")


async def places(store: Store) -> dict[object, object]:
    return dict(await store.rows("SELECT name, last_position FROM clients"))  # type: ignore[arg-type] # rows of two


async def filled(store: Store) -> None:
    await store.write(ADD.run, [{"name": name, "place": place} for place, name in enumerate("abc")])


async def test_each_row_runs_the_statement_with_its_own_values(store: Store) -> None:
    await filled(store)

    assert await places(store) == {"a": 0, "b": 1, "c": 2}


async def test_a_row_may_say_more_than_the_statement_asks_for(store: Store) -> None:
    await store.write(ADD.run, [{"name": "a", "place": 1, "more": None}])

    assert await places(store) == {"a": 1}


async def test_a_value_of_the_statements_own_stands_in_its_place_for_every_row(store: Store) -> None:
    await filled(store)
    moving = Many(update(clients).where(clients.c.name == NAME).values(last_position=9))

    await store.write(moving.run, [{"b_name": "a"}, {"b_name": "c"}])

    assert await places(store) == {"a": 9, "b": 1, "c": 9}


async def test_a_statement_may_have_a_single_parameter(store: Store) -> None:
    await filled(store)

    await store.write(
        Many(text("DELETE FROM clients WHERE name = :name")).run, [{"name": "a"}, {"name": "b"}]
    )

    assert await places(store) == {"c": 2}


async def test_no_rows_run_nothing(store: Store) -> None:
    await store.write(ADD.run, [])

    assert await places(store) == {}


def test_a_driver_that_names_its_parameters_is_refused() -> None:
    engine = create_engine("sqlite://", paramstyle="named")

    with engine.connect() as connection, pytest.raises(TypeError, match="parameters"):
        Many(text("DELETE FROM clients WHERE name = :name")).run(connection, [{"name": "a"}])
    engine.dispose()
