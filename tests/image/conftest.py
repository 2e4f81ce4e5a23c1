from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from relay.clock import system_clock
from relay.domain.instants import Span, seconds
from tests.demo.serving import served
from tests.e2e.neighbours import CAMB_KEY, RECEIVER
from tests.image import host
from tests.image.container import HARDENED, PORT, Container
from tests.image.engine import Engine

IMAGE: Final = "localhost/camb-relay"
NETWORK: Final = "relay"
SIMULATOR_PORT: Final = 8081

Figure = Callable[[str], None]
Start = Callable[..., Container]
FIGURES: Final = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash[FIGURES]:
        terminalreporter.section("the image")
        for figure in figures:
            terminalreporter.write_line(figure)


@pytest.fixture(scope="session")
def figure(pytestconfig: pytest.Config) -> Figure:
    """Takes a line for the end of the run."""
    return pytestconfig.stash[FIGURES].append


@contextmanager
def timed(figure: Figure, step: str) -> Iterator[None]:
    clock = system_clock()
    began = clock.now()
    yield
    figure(f"{step}: {seconds(Span(clock.now() - began)):.1f} s")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine.opened() as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine, figure: Figure) -> str:
    """As it stands in the repository. How this machine reaches its package index is mounted, and so in no layer."""
    pip = engine.home / "pip.conf"
    pip.write_text(host.pip_configuration())
    with timed(figure, "importing the base"):
        engine.podman("import", str(host.BASE), "docker.io/library/python:3.13-slim")
    with timed(figure, "building the image"):
        engine.buildah(
            *("build", "--format=docker", "--pull=never", "--layers", "--runtime=runc", "--network=host"),
            f"--volume={pip}:/etc/pip.conf:ro",
            f"--volume={host.certificates()}:/etc/ssl/certs/ca-certificates.crt:ro",
            f"--tag={IMAGE}",
            str(host.ROOT),
        )
    return IMAGE


@pytest.fixture(scope="session")
def archive(engine: Engine, image: str) -> Path:
    """The image as `docker save` writes it."""
    path = engine.home / "image.tar"
    path.unlink(missing_ok=True)
    engine.podman("save", "--quiet", "--format=docker-archive", f"--output={path}", image)
    return path


@pytest.fixture
def start(engine: Engine, image: str) -> Iterator[Start]:
    """Runs the image; an underscored argument of `podman run` is written in `options`, a variable less its RELAY_."""
    started: list[str] = []

    def run(*command: str, options: tuple[str, ...] = (), **variables: str) -> Container:
        given = [f"--env=RELAY_{name}={value}" for name, value in variables.items()]
        id_ = engine.podman("run", "--detach", *HARDENED, *options, *given, image, *command)
        started.append(id_)
        return Container(engine=engine, id=id_)

    yield run
    for each in started:
        engine.podman("rm", "--force", "--time=0", "--volumes", each)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`published_simulator` is its URL on the host, `simulator` the one on the containers' network."""

    simulator: str
    published_simulator: str
    receiver: str


@pytest.fixture(scope="session")
def world(engine: Engine, image: str) -> Iterator[World]:
    """The simulator in another container of the image, the verifying receiver on the host."""
    engine.podman("network", "create", NETWORK)
    gateway = engine.podman("network", "inspect", "--format={{(index .Subnets 0).Gateway}}", NETWORK)
    simulator = engine.podman(
        *("run", "--detach", *HARDENED, f"--network={NETWORK}", "--name=simulator"),
        *(f"--publish=127.0.0.1::{SIMULATOR_PORT}", image),
        *("simulator", "--host=0.0.0.0", "--key", CAMB_KEY),
    )
    published = engine.podman("port", simulator, str(SIMULATOR_PORT))
    with served(*RECEIVER, "--host", gateway) as receiver:
        yield World(
            simulator=f"http://simulator:{SIMULATOR_PORT}",
            published_simulator=f"http://{published}",
            receiver=receiver.url,
        )


def published() -> tuple[str, ...]:
    return (f"--publish=127.0.0.1::{PORT}",)
