"""The style sheet, the scripts and the icon: read once, and named by what is in them so that they may be kept for ever."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api.problems import Unacceptable
from relay.console.sessions import ROOT

_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "console.css": "text/css; charset=utf-8",
        "console.js": "text/javascript; charset=utf-8",
        "htmx.min.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }
)
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    content: bytes
    media_type: str
    path: str


@cache
def _assets() -> Mapping[str, Asset]:
    folder = files("relay.console") / "static"
    found = {}
    for name, media_type in _TYPES.items():
        content = (folder / name).read_bytes()
        version = hashlib.sha256(content).hexdigest()[:12]
        path = f"{ROOT}/static/{version}/{name}"
        found[name] = Asset(content=content, media_type=media_type, path=path)
    return found


def asset_path(name: str) -> str:
    return _assets()[name].path


async def static(request: Request) -> Response:
    """Also under another version's path: during an update a page of the one process meets the other."""
    asset = _assets().get(request.path_params["name"])
    if asset is None:
        raise Unacceptable(404, "there is no such file")
    kept = _FOR_EVER if request.url.path == asset.path else "no-store"
    headers = {"cache-control": kept, "x-content-type-options": "nosniff"}
    return Response(asset.content, headers=headers, media_type=asset.media_type)
