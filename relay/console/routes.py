"""Every page there is, under `/ui`."""

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relay.api.trials import Trials
from relay.clock import Clock
from relay.console.assets import static
from relay.console.contract import ContractPages
from relay.console.curl import CurlPages
from relay.console.dead import DeadPages
from relay.console.doors import Doors
from relay.console.origins import OriginPages
from relay.console.overview import OverviewPages
from relay.console.pages import Pages
from relay.console.registrations import RegistrationPages
from relay.console.sessions import ROOT, Sessions, Viewer
from relay.console.signing_in import SigningIn
from relay.console.trying import TryPages
from relay.services.read import Reading
from relay.services.register import Registering
from relay.services.replay import ReplayControl
from relay.services.survey import Surveying


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the console works with: the same as the API does. `slots` are an origin's while all is well."""

    reading: Reading
    registering: Registering
    trials: Trials
    replays: ReplayControl
    surveying: Surveying
    slots: int


def console_routes(services: Services, sessions: Sessions, clock: Clock) -> list[Route]:
    pages = Pages(clock)
    doors = Doors(pages, sessions)
    signing = SigningIn(pages, sessions, clock)
    overview = OverviewPages(pages, services.reading, services.surveying)
    registrations = RegistrationPages(pages, services.reading, services.registering, clock)
    curl = CurlPages(pages, services.reading, clock)
    origins = OriginPages(pages, services.reading, slots=services.slots)
    dead = DeadPages(pages, services.surveying, services.replays)
    trying = TryPages(pages, services.registering, services.trials, clock)
    contract = ContractPages(pages)
    reading = {
        "": overview.overview,
        "/charts": overview.charts,
        "/newest": overview.newest,
        "/registrations": registrations.list,
        "/registrations/{id}": registrations.one,
        "/registrations/{id}/curl": curl.one,
        "/origins": origins.list,
        "/dead": dead.list,
        "/replay": dead.ask,
        "/replays/{id}": dead.replay,
        "/try": trying.ask,
        "/api": contract.contract,
    }
    writing = {
        "/registrations": trying.register,
        "/registrations/{id}/cancel": registrations.cancel,
        "/registrations/{id}/redeliver": registrations.redeliver,
        "/replays": dead.begin,
        "/replays/{id}/pause": dead.pause,
        "/replays/{id}/resume": dead.resume,
        "/replays/{id}/cancel": dead.cancel,
        "/try/test": trying.test,
        "/try/verify": trying.verify,
    }
    return [
        Route(f"{ROOT}/static/{{version}}/{{name}}", static),
        Route(f"{ROOT}/sign-in", doors.open(signing.ask)),
        Route(f"{ROOT}/sign-in", doors.open(signing.sign_in), methods=["POST"]),
        Route(f"{ROOT}/sign-out", doors.open(signing.sign_out), methods=["POST"]),
        *(Route(f"{ROOT}{path}", doors.reading(page)) for path, page in reading.items()),
        *(Route(f"{ROOT}{path}", doors.writing(page), methods=["POST"]) for path, page in writing.items()),
        Route(f"{ROOT}/{{rest:path}}", doors.reading(_nothing), methods=["GET", "POST"]),
    ]


async def _nothing(_request: Request, _viewer: Viewer) -> Response:
    raise HTTPException(404, "there is no such page")
