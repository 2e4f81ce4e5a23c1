"""An upgrade beside the release before it, the real one, and the way back: both serve and work on one PostgreSQL."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import pytest

import relay
from relay.storage.schema import MIGRATIONS
from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import MODULE, RelayProcess, environment, run, serving
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.timeout(240)]

HOME: Final = Path(relay.__file__).parents[1]
SERVE: Final = (*MODULE, "serve")


def without(what: str, environ: Mapping[str, str]) -> NoReturn:
    """Skips, but where CI is set: there a proof that silently stays away would be taken for one that holds."""
    reason = f"{what}: the release before this one cannot be had"
    if environ.get("CI"):
        pytest.fail(f"{reason}; check out with git and the whole history", pytrace=False)
    pytest.skip(reason)


@pytest.mark.parametrize(
    ("environ", "outcome"),
    [
        ({"CI": "true"}, pytest.fail.Exception),
        ({"CI": ""}, pytest.skip.Exception),
        ({}, pytest.skip.Exception),
    ],
)
def test_the_proof_of_an_upgrade_is_left_out_nowhere_but_on_a_persons_machine(
    environ: Mapping[str, str], outcome: type[BaseException]
) -> None:
    with pytest.raises(outcome, match="no history: the release before this one cannot be had"):
        without("no history", environ)


def git(*arguments: str) -> bytes:
    program = shutil.which("git")
    if program is None:
        without("git is not installed", os.environ)  # noqa: TID251 - what kind of machine this is
    done = subprocess.run([program, *arguments], cwd=HOME, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def before_the_newest_migration() -> str:
    """The commit that the newest migration was built on."""
    newest = max(MIGRATIONS.glob("versions/*.py"))
    added = git("log", "--diff-filter=A", "--format=%H", "--", str(newest)).split()
    return f"{added[-1].decode()}^" if added else "HEAD"


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code as it was before the newest migration."""
    archive = git("archive", before_the_newest_migration(), "relay")
    if not archive:
        without("the history is not here (a shallow clone)", os.environ)  # noqa: TID251 - what kind of machine this is
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def of(release: Path, environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "PYTHONPATH": str(release)}


async def served(which: RelayProcess, neighbours: Neighbours, name: str) -> list[str]:
    """New registrations, some of whose tasks go on for a while."""
    return await which.register_all(
        [
            {"task_id": f"success-after-{number % 2}-{name}-{number}", "callback_url": neighbours.hook("ok")}
            for number in range(10)
        ]
    )


async def test_the_release_before_serves_on_beside_a_new_schema_and_its_successor_and_can_be_gone_back_to(
    own: Neighbours, postgres_server: PostgresServer, previous: Path, tmp_path: Path
) -> None:
    url = postgres_server.url_for(postgres_server.create_database())
    environ = environment(own, url)
    before, after = of(previous, environ), of(HOME, environ)
    migrated = [run("migrate", environ=before, folder=tmp_path, command=MODULE)]

    async with serving(before, tmp_path, SERVE) as old:
        ids = await served(old, own, "before")
        migrated.append(run("migrate", environ=after, folder=tmp_path, command=MODULE))
        ids += await served(old, own, "old-schema-new")
        async with serving(after, tmp_path, SERVE) as new:
            ids += await served(old, own, "old-beside") + await served(new, own, "new-beside")
            assert await old.terminate() == 0
            ids += await served(new, own, "new-alone")
            async with serving(before, tmp_path, SERVE) as again:
                ids += await served(new, own, "new-still") + await served(again, own, "old-again")
                assert await new.terminate() == 0
                ids += await served(again, own, "gone-back")
                await again.all_closed()
                read_by_old = [(await again.read(each))["state"] for each in ids]
                assert await again.terminate() == 0

    arrivals = await own.arrivals()
    revisions = [next(line for line in each.stdout.splitlines() if line) for each in migrated]
    assert [each.returncode for each in migrated] == [0, 0], migrated
    assert revisions[0] != revisions[1]
    assert set(read_by_old) == {"delivered"}
    assert arrivals.keys() == set(ids)
    assert {(arrival["arrivals"], arrival["accepted"]) for arrival in arrivals.values()} == {(1, 1)}
