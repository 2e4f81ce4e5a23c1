"""Templates as answers: what every page carries, and what of it is sent again while it stands open."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from relay import __version__
from relay.clock import Clock
from relay.console import words
from relay.console.assets import asset_path
from relay.console.indented import indented
from relay.console.sessions import ROOT, Viewer
from relay.domain.chain import spoken
from relay.domain.instants import Instant, parse_rfc3339, text

LIVE: Final = "relay-live"
"""The header by which a page that stands open names the version of its live part that it shows."""
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: forms would then say that they come from `null`, and could not be told from another site's.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}

_INSTANT: Final = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}Z")
_ENDS: Final = (".", "?", "!")
_PASSING: Final = re.compile(r"(<time[^>]*>)[^<]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a link or a form leads to; an operator's choice of a client goes along."""

    viewer: Viewer | None

    def __call__(self, path: str = "", **query: object) -> str:
        chosen = {name: value for name, value in query.items() if value is not None and value != ""}
        if self.viewer is not None and self.viewer.chosen:
            chosen |= {"client": self.viewer.client.name}
        return f"{ROOT}{path}" + (f"?{urlencode(chosen)}" if chosen else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A part of a page that is asked for again, by `trigger`, while the page stands open; `version` is of what it shows."""

    html: Markup
    version: str
    path: str
    id: str = "live"
    trigger: str = "relay-tick from:body"


class Pages:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._templates = _environment()

    def page(
        self,
        template: str,
        viewer: Viewer | None,
        content: Mapping[str, object],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        html = self._templates.get_template(template).render({**self._everywhere(viewer), **content})
        return Response(html, status, {**HEADERS, **(headers or {})}, media_type="text/html")

    def live_page(
        self, template: str, part: str, request: Request, viewer: Viewer, content: Mapping[str, object]
    ) -> Response:
        """A page whose `part` is sent again when it has changed: 204 where it has not, but for the passage of time."""
        live = self.live(part, _path(request), viewer, content)
        if LIVE in request.headers:
            return self.again(live, request, viewer)
        return self.page(template, viewer, {**content, "live": live})

    def again(self, live: Live, request: Request, viewer: Viewer) -> Response:
        """A part alone, unless the page shows it already."""
        if request.headers.get(LIVE) == live.version:
            return Response(status_code=204, headers=dict(HEADERS))
        return self.page("live.html", viewer, {"live": live})

    def live(self, part: str, path: str, viewer: Viewer, content: Mapping[str, object]) -> Live:
        html = self._templates.get_template(part).render({**self._everywhere(viewer), **content})
        version = hashlib.sha256(_PASSING.sub(r"\1", html).encode()).hexdigest()[:16]
        return Live(html=Markup(html), version=version, path=path)  # noqa: S704 - a template made it

    def _everywhere(self, viewer: Viewer | None) -> dict[str, Any]:
        now = self._clock.now()
        return {"viewer": viewer, "link": Place(viewer=viewer), "now": now, "exact_now": text(now)}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("relay.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "relative": _relative,
        "moment": _moment,
        "prose": _prose,
        "short": words.short,
        "shown_url": words.shown_url,
        "spoken": spoken,
        "indented": indented,
    }
    environment.globals |= {
        "asset": asset_path,
        "version": __version__,
        "labels": {
            "registration": words.REGISTRATION_LABELS,
            "origin": words.ORIGIN_LABELS,
            "replay": words.REPLAY_LABELS,
            "outcome": words.OUTCOME_LABELS,
            "dead": words.DEAD_LABELS,
        },
        "unknown_label": words.UNKNOWN,
    }
    return environment


@pass_context
def _relative(context: Context, at: Instant | None) -> Markup | str:
    """Two moments for machines, words for people; console.js keeps the words up to date."""
    return _time(at, "" if at is None else words.relative(at, context["now"]), "relative")


@pass_context
def _moment(context: Context, at: Instant | None) -> Markup | str:
    return _time(at, "" if at is None else words.moment(at, context["now"]), "moment")


@pass_context
def _prose(context: Context, sentence: str, end: str = "") -> Markup:
    """A sentence as the API tells it, its moments as everywhere on the page."""
    said, begins = Markup(), 0
    sentence = sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(_ENDS) else end)
    for found in _INSTANT.finditer(sentence):
        at = parse_rfc3339(found[0])
        said += escape(sentence[begins : found.start()]) + _time(
            at, words.moment(at, context["now"]), "moment"
        )
        begins = found.end()
    return said + escape(sentence[begins:])


def _time(at: Instant | None, words_: str, kind: str) -> Markup | str:
    if at is None:
        return "–"
    exact = text(at)
    shown = Markup('<time class="{}" datetime="{}" title="{} UTC">{}</time>')
    return shown.format(kind, exact, escape(exact.removesuffix("Z").replace("T", " ")), words_)


def _path(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")
