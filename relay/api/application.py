"""Routes as the application that a port serves."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from relay.api.middleware import RequestContext
from relay.api.problems import on_http_error, on_relay_error
from relay.domain.errors import RelayError


def application(routes: Sequence[Route], new_request_id: Callable[[], str]) -> Starlette:
    app = Starlette(
        routes=routes,
        middleware=[Middleware(RequestContext, new_id=new_request_id)],
        exception_handlers={HTTPException: on_http_error, RelayError: on_relay_error},
    )
    # A redirect would name whatever host the request named, and a client that follows would hand it its token.
    app.router.redirect_slashes = False
    return app
