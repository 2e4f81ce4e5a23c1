"""In and out: a token is shown once, and a cookie stands for it from then on."""

import re
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from relay.clock import Clock
from relay.console.doors import see_other
from relay.console.forms import read_form
from relay.console.pages import Pages
from relay.console.sessions import ROOT, Sessions, forget, keep
from relay.console.throttle import Throttle

_OWN_PATH: Final = re.compile(rf"{ROOT}(?:[/?][!-\[\]-~]*)?")  # no backslash, which browsers take for a slash

_log = structlog.get_logger()


class SigningIn:
    def __init__(self, pages: Pages, sessions: Sessions, clock: Clock) -> None:
        self._pages = pages
        self._sessions = sessions
        self._clock = clock
        self._throttle = Throttle()

    async def ask(self, request: Request) -> Response:
        if self._sessions.viewer(request) is not None:
            return see_other(_next(request.query_params.get("next", "")))
        return self._page(200, next_=_next(request.query_params.get("next", "")))

    async def sign_in(self, request: Request) -> Response:
        form = await read_form(request)
        address = request.client.host if request.client is not None else ""
        now = self._clock.now()
        next_ = _next(form.get("next", ""))
        wait = self._throttle.wait(address, now)
        if wait:
            error = f"Too many tokens were wrong. Try again in {wait} s."
            return self._page(429, next_=next_, error=error, headers={"retry-after": str(wait)})
        cookie = self._sessions.begin(form.get("token", "").strip())
        if cookie is None:
            self._throttle.failed(address, now)
            _log.warning("console.sign_in_refused")
            error = "This token is not known. A client's API token or an operator's token is wanted."
            return self._page(401, next_=next_, error=error)
        response = see_other(next_)
        keep(response, request, cookie)
        return response

    async def sign_out(self, request: Request) -> Response:
        response = see_other(f"{ROOT}/sign-in")
        forget(response, request)
        return response

    def _page(
        self, status: int, *, next_: str, error: str | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        return self._pages.page(
            "sign_in.html", None, {"next": next_, "error": error}, status=status, headers=headers
        )


def _next(path: str) -> str:
    """Where to go on: nowhere but to a page of ours."""
    return path if _OWN_PATH.fullmatch(path) else ROOT
