"""What a form sends: named fields, each once, within bounds."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from relay.api.problems import Unacceptable
from relay.api.requests import MAX_BODY, read_body

MOST_FIELDS: Final = 50

_CONTENT_TYPE: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """Of a field that is given twice the last one counts. Raises 415, 413, 408 and 400."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _CONTENT_TYPE:
        raise Unacceptable(415, f"send the form as content-type {_CONTENT_TYPE}")
    body = await read_body(request, MAX_BODY)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:  # no UTF-8, or too many fields
        raise Unacceptable(400, "the form cannot be read") from None
    return {name: value.replace("\r\n", "\n") for name, value in fields}
