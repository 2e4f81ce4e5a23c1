"""What stands before every page: who is looking, where a form came from, and what is said when something goes wrong."""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from relay.api.problems import problem, problem_of
from relay.console.pages import HEADERS, LIVE, Pages
from relay.console.sessions import ROOT, Sessions, Viewer, is_from_here
from relay.domain.errors import DatabaseUnavailable, RequestRefused

Page = Callable[[Request, Viewer], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

_SEE_OTHER: Final = 303
_ADVICE: Final = {
    400: "Go back and send the form again.",
    403: "Go back to where you came from, and do it from there.",
    404: "Check the address; what is finished is kept for a while only, and other clients' things are not shown.",
    405: "Go back to where you came from.",
    408: "Send the form again.",
    409: "It has changed since the page was made: look at it again.",
    413: "Send less.",
    422: "Change what is named, and send it again.",
    429: "Wait for as long as it says, and try again.",
    500: "Try again. If it stays, the relay's log has the fault under this request's id.",
    503: "Try again in a moment. If it stays, look at the relay's log and at its database.",
}

_log = structlog.get_logger()


class Doors:
    def __init__(self, pages: Pages, sessions: Sessions) -> None:
        self._pages = pages
        self._sessions = sessions

    def reading(self, page: Page) -> Endpoint:
        """A page that whoever has signed in may look at."""

        async def endpoint(request: Request) -> Response:
            return await self._answered(request, page)

        return endpoint

    def writing(self, page: Page) -> Endpoint:
        """A form of ours, sent by a client."""

        async def changed(request: Request, viewer: Viewer) -> Response:
            if viewer.operator:
                raise HTTPException(403, "an operator may look at everything and change nothing")
            return await page(request, viewer)

        async def endpoint(request: Request) -> Response:
            return await self._answered(request, self._from_here(changed))

        return endpoint

    def open(self, page: Endpoint) -> Endpoint:
        """For whoever comes, as to sign in; a form must still be ours."""

        async def endpoint(request: Request) -> Response:
            try:
                if request.method == "POST":
                    _check_origin(request)
                return await page(request)
            except Exception as error:  # noqa: BLE001 - the last one: a page for the caller, the traceback for the log
                return self._said(request, None, error)

        return endpoint

    def _from_here(self, page: Page) -> Page:
        async def checked(request: Request, viewer: Viewer) -> Response:
            _check_origin(request)
            return await page(request, viewer)

        return checked

    async def _answered(self, request: Request, page: Page) -> Response:
        viewer: Viewer | None = None
        try:
            viewer = self._sessions.viewer(request)
            if viewer is None:
                return self._to_sign_in(request)
            return await page(request, viewer)
        except Exception as error:  # noqa: BLE001 - the last one: a page for the caller, the traceback for the log
            return self._said(request, viewer, error)

    def _to_sign_in(self, request: Request) -> Response:
        if LIVE in request.headers:  # the whole page is to be loaded anew, and not its part
            return Response(status_code=401, headers={**HEADERS, "hx-refresh": "true"})
        if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
            # A strict cookie is not sent along with a link from elsewhere; it is with one from here to the same page.
            return self._pages.page("again.html", None, {"path": _path(request)})
        query = (
            f"?next={quote(_path(request), safe='/')}"
            if request.method == "GET" and _path(request) != ROOT
            else ""
        )
        return see_other(f"{ROOT}/sign-in{query}")

    def _said(self, request: Request, viewer: Viewer | None, error: Exception) -> Response:
        document, headers = _problem(request, error)
        status = document["status"]
        content = {"problem": document, "advice": _ADVICE.get(status, "Go back and try again.")}
        kept = {name: value for name, value in headers.items() if name != "location"}
        return self._pages.page("problem.html", viewer, content, status=status, headers=kept)


def _problem(request: Request, error: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    id_ = request.scope.get("request_id")
    match error:
        case HTTPException():
            document = problem(error.status_code, error.detail, request_id=id_)
            return document, dict(error.headers or {})
        case RequestRefused() | DatabaseUnavailable():
            return problem_of(error, id_)
        case _:
            _log.error("request.failed", method=request.method, exc_info=error)
            return problem(500, "the fault was logged under this request's id", request_id=id_), {}


def see_other(path: str) -> Response:
    """After a form: what is loaded again is the page, not the sending."""
    return RedirectResponse(path, _SEE_OTHER, headers=dict(HEADERS))


def _check_origin(request: Request) -> None:
    if not is_from_here(request):
        raise HTTPException(
            403, "the form came from another site, or from a browser that does not say from where"
        )


def _path(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")
