import os
import subprocess
import sys

import pytest

SLOW = ("aiohttp", "alembic", "httpx", "pydantic", "sqlalchemy", "starlette", "uvicorn")


def said_by(code: str, **environ: str) -> list[str]:
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={"PYTHONPATH": path, **environ}, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


def test_what_a_help_needs_is_quickly_imported() -> None:
    code = f"import sys; import relay.cli.operate; print(*[name for name in {SLOW!r} if name in sys.modules])"

    assert said_by(code) == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("relay li", ["list", "listen"]),
        ("relay list --state d", ["delivering", "delivered", "dead"]),
        ("relay watch --profile ", ["staging"]),
        ("relay register x --kind dub", ["dub", "dub-alt-format"]),
    ],
)
def test_the_shell_completes_commands_states_kinds_and_profiles(
    typed: str, offered: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "relay").mkdir()
    (home / "relay" / "profiles.toml").write_text('[staging]\nurl = "https://staging.test"\n')
    environ = {
        "_RELAY_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
        "XDG_CONFIG_HOME": str(home),
    }

    assert (
        said_by("from relay.cli import main; import sys; sys.argv = ['relay']; main()", **environ) == offered
    )
