import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.postgres import PostgresServer
from tests.relays import sqlite_url
from tests.services.canaries import DATABASE_PASSWORD, QUERY, files_of, spoken_secrets


def lived(database_url: str) -> tuple[dict[str, Any], str]:
    """What the process wrote to stdout, and its log."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.services.canaries", database_url],
        capture_output=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr.decode()[-4_000:]
    document: dict[str, Any] = orjson.loads(done.stdout)
    return document, done.stderr.decode()


def hold_its_tongue(written: dict[str, Any], log: str) -> None:
    everything = orjson.dumps(written).decode() + log
    found = {name for name, secret in spoken_secrets().items() if secret in everything}
    in_tables = {name for name, rows in written["stored"].items() if any(QUERY in row for row in rows)}

    assert found == set()
    assert QUERY not in log
    assert not any(QUERY in answer for answer in written["others"])
    assert any(QUERY in answer for answer in written["resources"])
    assert in_tables == {"registrations"}
    assert any('\\"authorization\\":\\"***\\"' in answer for answer in written["resources"])


def went_through_everything(log: str) -> None:
    """The search would find nothing in a log that says nothing."""
    lines = [orjson.loads(line) for line in log.splitlines()]
    events = {line["event"] for line in lines}
    assert {
        "relay.started",
        "task.ended",
        "delivery.attempted",
        "test.attempted",
        "poll.unauthorized",
        "row.failed",
        "relay.stopped",
    } <= events
    assert any("UnusableUrl" in str(line.get("exception")) for line in lines)


def test_on_sqlite_no_secret_is_found_in_anything_the_relay_wrote(tmp_path: Path) -> None:
    written, log = lived(sqlite_url(tmp_path))

    hold_its_tongue(written, log)
    went_through_everything(log)
    files = files_of(tmp_path / "relay.db")
    assert files
    for name, content in files.items():
        assert not [secret for secret in spoken_secrets().values() if secret.encode() in content], name


@pytest.mark.postgres
def test_on_postgresql_no_secret_is_found_in_anything_the_relay_wrote(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.url_for(postgres_server.create_database())

    written, log = lived(url.replace("postgres@", f"postgres:{DATABASE_PASSWORD}@"))

    hold_its_tongue(written, log)
    went_through_everything(log)


@pytest.mark.postgres
def test_a_database_that_refuses_is_told_of_without_its_password() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.services.canaries",
            f"postgresql://postgres:{DATABASE_PASSWORD}@127.0.0.1:9/relay",
        ],
        capture_output=True,
        check=False,
        timeout=50,
    )

    assert done.returncode != 0
    assert b"DatabaseUnavailable" in done.stderr
    assert DATABASE_PASSWORD.encode() not in done.stderr + done.stdout
