import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.recipes.inboxes import Inbox, SqliteInbox, on_postgres
from tests.recipes.receivers import NODE_RECIPES, ON_NODE, PYTHON_RECIPES, Receiver, Recipe, copied, receiving
from tests.recipes.relaying import KEYS


def together(recipe: Recipe) -> pytest.MarkDecorator:
    """One process of pytest's starts it, once."""
    return pytest.mark.xdist_group(recipe.name)


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(each, id=each.name, marks=together(each)) for each in PYTHON_RECIPES),
        *(pytest.param(each, id=each.name, marks=(together(each), *ON_NODE)) for each in NODE_RECIPES),
    ],
)
def receiver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    recipe: Recipe = request.param
    folder = tmp_path_factory.mktemp(recipe.name)
    copied(recipe, folder)
    with _inbox(recipe, folder, request) as inbox, receiving(recipe, folder, KEYS, inbox) as receiver:
        yield receiver


@contextmanager
def _inbox(recipe: Recipe, folder: Path, request: pytest.FixtureRequest) -> Iterator[Inbox]:
    if recipe in NODE_RECIPES:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with on_postgres(server) as postgres:
            asyncio.run(postgres.make())
            yield postgres
    else:
        sqlite = SqliteInbox(path=folder / "inbox.db")
        if recipe.prepare is None:
            sqlite.make()
        yield sqlite
