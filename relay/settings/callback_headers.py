"""`[[clients.<name>.callback_headers]]`: what a gateway before the callbacks of one origin wants to see."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, model_validator

from relay.domain.clients import CallbackHeader
from relay.domain.urls import parse_origin
from relay.settings.section import Section

LONGEST_VALUE: Final = 4_096
MOST_HEADERS: Final = 32

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110 §5.6.2
_VALUE: Final = re.compile(
    rf"[!-~](?:[ -~\t]{{0,{LONGEST_VALUE - 2}}}[!-~])?"
)  # RFC 9110 §5.5, less obs-text
_OURS: Final = (
    "webhook-",
    "relay-",
    "content-",
    "host",
    "user-agent",
    "accept-encoding",
    "expect",
    "traceparent",
    "tracestate",
)
# RFC 9110 §7.6.1, and those that RFC 2616 §13.5.1 names.
_OF_THE_CONNECTION: Final = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def _name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("should be a header's name: 1 to 64 letters, digits and !#$%&'*+-.^_`|~")
    name = name.lower()
    if name in _OF_THE_CONNECTION:
        raise ValueError("should not be a header of the connection, which ends at the next hop")
    if name.startswith(tuple(each for each in _OURS if each.endswith("-"))) or name in _OURS:
        raise ValueError(f"should not be a header that the relay itself sets: {', '.join(_OURS)}")
    return name


def _value(value: SecretStr) -> SecretStr:
    if not _VALUE.fullmatch(value.get_secret_value()):
        raise ValueError(
            f"should be 1 to {LONGEST_VALUE} printable ASCII characters, with spaces inside only"
        )
    return value


def _file(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("should be an absolute path")
    return path


class CallbackHeaderSettings(Section):
    origin: Annotated[str, AfterValidator(parse_origin)] = Field(
        description="Whose callbacks get the header, and no others: scheme, host and port as in their URLs."
    )
    name: Annotated[str, AfterValidator(_name)] = Field(
        description="The header's name. None that the relay sets itself, and none of the connection."
    )
    value: Annotated[SecretStr, AfterValidator(_value)] | None = Field(
        None,
        description="The header's value, 1 to 4096 printable ASCII characters. It is shown nowhere.",
    )
    value_file: Annotated[Path, AfterValidator(_file)] | None = Field(
        None,
        description="A file with the value instead, read at start; a line's end after it is left out. An "
        "absolute path.",
    )

    _read: SecretStr = PrivateAttr()

    @model_validator(mode="after")
    def _has_one_value(self) -> Self:
        if (self.value is None) == (self.value_file is None):
            raise ValueError("should have either a value or a value_file")
        if self.value is not None:
            self._read = self.value
        if self.value_file is not None:
            self._read = _value_in(self.value_file)
        return self

    def header(self) -> CallbackHeader:
        return CallbackHeader(origin=self.origin, name=self.name, value=self._read.get_secret_value())


def _value_in(path: Path) -> SecretStr:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_VALUE + len(b"\r\n") + 1)
    except OSError as exc:
        raise ValueError(f"value_file cannot be read: {exc.strerror}") from None
    text = content.decode("latin-1").removesuffix("\n").removesuffix("\r")
    try:
        return _value(SecretStr(text))
    except ValueError as exc:
        raise ValueError(f"what value_file holds {exc}") from None


def distinct(headers: tuple[CallbackHeaderSettings, ...]) -> tuple[CallbackHeaderSettings, ...]:
    """Two values under one name would be joined by whoever reads them."""
    if len({(header.origin, header.name) for header in headers}) < len(headers):
        raise ValueError("should name a header once per origin")
    return headers
