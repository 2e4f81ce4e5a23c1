"""What every call answers with: JSON, and of a list one page and where the next one begins."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from starlette.responses import Response

Item = TypeVar("Item")


def answer(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def answer_page(
    found: Sequence[Item],
    limit: int,
    *,
    shown_as: Callable[[Item], dict[str, Any]],
    cursor_of: Callable[[Item], str],
) -> Response:
    """`found` is asked for one more than `limit`, which tells whether there is another page."""
    shown = found[:limit]
    cursor = cursor_of(shown[-1]) if len(found) > limit else None
    return answer({"data": [shown_as(item) for item in shown], "next_cursor": cursor})
