"""Each recipe as somebody would run it: copied elsewhere, in a process of its own."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.recipes.inboxes import Inbox
from tests.sockets import unused_port

HERE: Final = Path(__file__).parent
MODULES: Final = HERE.parents[1] / ".tools" / "recipes" / "node_modules"
HOST: Final = "127.0.0.1"
PYTHON: Final = sys.executable
NODE: Final = shutil.which("node") or "node"
ON_NODE: Final = (
    pytest.mark.node,
    pytest.mark.skipif(
        shutil.which("node") is None or not MODULES.is_dir(), reason="Node or its packages are not here"
    ),
)
_WITHIN: Final = 30.0
_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`{port}` stands in a command for the port; `project` are the files around it, by name."""

    name: str
    files: tuple[str, ...]
    command: tuple[str, ...]
    work: tuple[str, ...] = (PYTHON, "work.py")
    prepare: tuple[str, ...] | None = None
    project: tuple[tuple[str, str], ...] = ()
    environ: tuple[tuple[str, str], ...] = ()


_DJANGO_SETTINGS: Final = """
import os
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["INBOX"]}}
INSTALLED_APPS = ["receive_django"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
RELAY_SIGNING_SECRET = os.environ["RELAY_SIGNING_SECRET"]
ROOT_URLCONF = "urls"
SECRET_KEY = "signs nothing here"
USE_TZ = True
"""
_DJANGO_URLS: Final = """
from django.urls import path
from receive_django import views
urlpatterns = [path("hooks/camb", views.hook)]
"""

PYTHON_RECIPES: Final = (
    Recipe(
        name="starlette",
        files=("receive_starlette.py", "work.py"),
        command=(PYTHON, "-m", "uvicorn", "receive_starlette:app", "--port", "{port}"),
    ),
    Recipe(
        name="fastapi",
        files=("receive_fastapi.py", "work.py"),
        command=(PYTHON, "-m", "uvicorn", "receive_fastapi:app", "--port", "{port}"),
    ),
    Recipe(
        name="flask",
        files=("receive_flask.py", "work.py"),
        command=(PYTHON, "-m", "flask", "--app", "receive_flask", "run", "--port", "{port}"),
    ),
    Recipe(
        name="django",
        files=("receive_django", "work.py"),
        prepare=(PYTHON, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"),
        command=(PYTHON, "-m", "django", "runserver", "--noreload", "{port}"),
        project=(("project.py", _DJANGO_SETTINGS), ("urls.py", _DJANGO_URLS)),
        environ=(("DJANGO_SETTINGS_MODULE", "project"), ("PYTHONPATH", ".")),
    ),
)
NODE_RECIPES: Final = (
    Recipe(
        name="express",
        files=("receive_express.mjs", "work.mjs"),
        command=(NODE, "receive_express.mjs"),
        work=(NODE, "work.mjs"),
        environ=(("NODE_ENV", "production"),),
    ),
    Recipe(
        name="node",
        files=("receive_node.mjs", "work.mjs"),
        command=(NODE, "receive_node.mjs"),
        work=(NODE, "work.mjs"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    recipe: Recipe
    folder: Path
    environ: Mapping[str, str]
    origin: str
    inbox: Inbox

    @property
    def url(self) -> str:
        return f"{self.origin}/hooks/camb"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def work_until_it_fails(self) -> str:
        """What it wrote about the work that it did."""
        done = subprocess.run(
            self.recipe.work,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        return done.stdout


def copied(recipe: Recipe, folder: Path) -> None:
    """The recipe and nothing else of ours, so that it depends on nothing else."""
    for name in recipe.files:
        source = HERE / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder)
    for name, text in recipe.project:
        (folder / name).write_text(text)
    if recipe in NODE_RECIPES:
        (folder / "node_modules").symlink_to(MODULES)


@contextmanager
def receiving(recipe: Recipe, folder: Path, keys: Mapping[str, str], inbox: Inbox) -> Iterator[Receiver]:
    """`keys` are the variables that hold what it verifies with."""
    port = unused_port()
    environ = {**keys, **inbox.environ, **dict(recipe.environ), "HOST": HOST, "PORT": str(port)}
    if recipe.prepare is not None:
        subprocess.run(recipe.prepare, cwd=folder, env=environ, check=True, timeout=_WITHIN)
    command = [part.format(port=port) for part in recipe.command]
    log = folder / "log"
    with _running(command, folder, environ, log):
        _until(lambda: _listens(port), log)
        yield Receiver(
            recipe=recipe, folder=folder, environ=environ, origin=f"http://{HOST}:{port}", inbox=inbox
        )


@contextmanager
def _running(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], output: Path
) -> Iterator[None]:
    with (
        output.open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _until(so: Callable[[], bool], output: Path) -> None:
    for _ in range(round(_WITHIN / _PAUSE)):
        if so():
            return
        time.sleep(_PAUSE)
    raise AssertionError(f"not so within {_WITHIN:g} s; written was\n{output.read_text()}")
