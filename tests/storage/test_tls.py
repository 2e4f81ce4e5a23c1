"""TLS to a PostgreSQL that was built with it, asked for in libpq's words."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import text

from relay.domain.errors import DatabaseUnavailable
from relay.storage.engine import open_database
from tests.postgres import FAST, WITH_TLS, PostgresServer
from tests.receivers.certificates import Authority
from tests.storage.hand_time import HandTime

GUARDED: Final = "relay_1"
"""The database that takes nobody without a certificate."""
OPEN: Final = "postgres"
ACCESS: Final = f"""
hostssl {GUARDED} all 127.0.0.1/32 trust clientcert=verify-ca
hostnossl {GUARDED} all 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
"""

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not WITH_TLS.exists(), reason="no PostgreSQL with TLS for this system"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`authority.pem` and the `receiver.pem` that it signed for localhost; `stranger` is another authority's."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority()
    authority.written(folder)
    authority.served(folder, name="localhost")
    stranger = folder / "stranger"
    stranger.mkdir()
    Authority().written(stranger)
    Authority().served(stranger, name="localhost")
    (folder / "access.conf").write_text(ACCESS)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[PostgresServer]:
    settings: dict[str, str | Path] = {
        **FAST,
        "ssl": "on",
        "ssl_cert_file": folder / "receiver.pem",
        "ssl_key_file": folder / "receiver.pem",
        "ssl_ca_file": folder / "authority.pem",
        "hba_file": folder / "access.conf",
    }
    with PostgresServer.running(settings, WITH_TLS) as server:
        assert server.create_database() == GUARDED
        yield server


async def is_spoken_to_with_tls(server: PostgresServer, time: HandTime, name: str, query: str) -> bool:
    url = server.url_for(name).replace("127.0.0.1", "localhost")
    database = open_database(f"{url}?{query}", time.clock, pool_size=1)
    try:
        return await database.read(
            lambda connection: bool(
                connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
            )
        )
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("query", "with_tls"),
    [
        ("", True),
        ("sslmode=disable", False),
        ("sslmode=prefer", True),
        ("sslmode=require", True),
        ("sslmode=require&sslrootcert={folder}/authority.pem", True),
        ("sslmode=verify-ca&sslrootcert={folder}/authority.pem", True),
        ("sslmode=verify-full&sslrootcert={folder}/authority.pem", True),
    ],
)
async def test_tls_is_as_the_mode_says(
    server: PostgresServer, time: HandTime, folder: Path, query: str, *, with_tls: bool
) -> None:
    assert await is_spoken_to_with_tls(server, time, OPEN, query.format(folder=folder)) is with_tls


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=require&sslrootcert={folder}/stranger/authority.pem",
        "sslmode=verify-ca&sslrootcert={folder}/stranger/authority.pem",
        "sslmode=verify-full&sslrootcert=system",
    ],
)
async def test_a_server_whose_authority_is_not_trusted_is_refused_and_the_word_to_set_is_named(
    server: PostgresServer, time: HandTime, folder: Path, query: str
) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"certificate is not trusted, .*; see sslrootcert"):
        await is_spoken_to_with_tls(server, time, OPEN, query.format(folder=folder))


@pytest.mark.parametrize(("mode", "verdict"), [("verify-full", "another host"), ("verify-ca", None)])
async def test_a_certificate_for_another_host_is_refused_where_the_host_is_looked_at(
    server: PostgresServer, time: HandTime, folder: Path, mode: str, verdict: str | None
) -> None:
    url = f"{server.url_for(OPEN)}?sslmode={mode}&sslrootcert={folder}/authority.pem"
    database = open_database(url, time.clock, pool_size=1)

    try:
        await database.probe()
        said = None
    except DatabaseUnavailable as error:
        said = str(error)
    await database.close()

    assert (said is None) == (verdict is None)
    assert verdict is None or verdict in str(said)
    assert "127.0.0.1" not in str(said)


async def test_a_certificate_of_ours_is_shown_to_a_server_that_asks_for_it(
    server: PostgresServer, time: HandTime, folder: Path
) -> None:
    shown = f"sslmode=require&sslcert={folder}/receiver.pem&sslkey={folder}/receiver.pem"
    both_in_one = f"sslmode=require&sslcert={folder}/receiver.pem"

    assert await is_spoken_to_with_tls(server, time, GUARDED, shown)
    assert await is_spoken_to_with_tls(server, time, GUARDED, both_in_one)


@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=disable"])
async def test_a_server_that_asks_for_a_certificate_takes_nobody_without_one(
    server: PostgresServer, time: HandTime, query: str
) -> None:
    with pytest.raises(DatabaseUnavailable, match="InvalidAuthorizationSpecificationError"):
        await is_spoken_to_with_tls(server, time, GUARDED, query)


async def test_a_certificate_that_the_server_does_not_trust_opens_nothing(
    server: PostgresServer, time: HandTime, folder: Path
) -> None:
    query = f"sslmode=require&sslcert={folder}/stranger/receiver.pem"

    with pytest.raises(DatabaseUnavailable, match=r"^the database failed"):
        await is_spoken_to_with_tls(server, time, GUARDED, query)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sslrootcert={folder}/nowhere.pem", "sslrootcert of the database URL: No such file"),
        ("sslrootcert={folder}/access.conf", "sslrootcert of the database URL: no PEM file of that"),
        ("sslcert={folder}/nowhere.pem", "sslcert and sslkey of the database URL: No such file"),
        (
            "sslcert={folder}/receiver.pem&sslkey={folder}/stranger/receiver.pem",
            "sslcert and sslkey of the database URL: no PEM file of that, key values mismatch",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_by_its_word(
    time: HandTime, folder: Path, query: str, said: str
) -> None:
    url = f"postgresql://relay:hidden@localhost/relay?sslmode=require&{query.format(folder=folder)}"

    with pytest.raises(DatabaseUnavailable) as raised:
        open_database(url, time.clock, pool_size=1)

    assert str(raised.value).startswith(said)
    assert isinstance(raised.value.__cause__, ssl.SSLError | OSError)
