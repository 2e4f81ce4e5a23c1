"""`[tracing]`: where spans go, and how many."""

import re
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr

from relay.settings.section import Section
from relay.settings.values import BaseUrl
from relay.tracing.extra import OtlpUnavailable, codec_type

TRACES_PATH: Final = "/v1/traces"
LONGEST_HEADER: Final = 4_096
MOST_HEADERS: Final = 32

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110 §5.6.2
_VALUE: Final = re.compile(rf"[!-~](?:[ -~]{{0,{LONGEST_HEADER - 2}}}[!-~])?")
_OURS: Final = frozenset({"connection", "host", "transfer-encoding", "user-agent"})
_SERVICE: Final = re.compile(r"[ -~]{1,128}")


def _endpoint(url: str) -> str:
    if url.endswith(TRACES_PATH):
        raise ValueError(f"should be without {TRACES_PATH}, which is added to it")
    try:
        codec_type()
    except OtlpUnavailable as exc:
        raise ValueError(str(exc)) from None
    return url


def _header(header: SecretStr) -> SecretStr:
    name, value = _parts(header)
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(
            f"should be a header's name, = and its value of 1 to {LONGEST_HEADER} printable ASCII characters"
        )
    if name in _OURS or name.startswith("content-"):
        raise ValueError("should not be a header that the relay itself sets")
    return header


def _parts(header: SecretStr) -> tuple[str, str]:
    """As OTEL_EXPORTER_OTLP_HEADERS has them: what is percent-encoded in a value is decoded."""
    name, _, value = header.get_secret_value().partition("=")
    return name.strip().lower(), unquote(value.strip())


def _distinct(headers: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if len({_parts(header)[0] for header in headers}) < len(headers):
        raise ValueError("should name a header once")
    return headers


def _service_name(name: str) -> str:
    if not _SERVICE.fullmatch(name):
        raise ValueError("should be 1 to 128 printable ASCII characters")
    return name


class TracingSettings(Section):
    endpoint: Annotated[BaseUrl, AfterValidator(_endpoint)] | None = Field(
        None,
        description="Where spans are sent by OTLP over HTTP, /v1/traces being added: a collector's port 4318. Without "
        "it none are made. Needs the extra otel.",
    )
    headers: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_header)], ...], AfterValidator(_distinct)
    ] = Field(
        (),
        max_length=MOST_HEADERS,
        description="What is sent along, each a header's name, = and its value, written as in "
        "OTEL_EXPORTER_OTLP_HEADERS. They are shown nowhere. At most 32.",
    )
    sample_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="How many of the traces that begin at the relay are recorded. Whether a caller's trace is "
        "goes by its traceparent. 0 to 1.",
    )
    service_name: Annotated[str, AfterValidator(_service_name)] = Field(
        "camb-relay", description="The service that the spans are shown under."
    )

    def secret_headers(self) -> Mapping[str, str]:
        return dict(map(_parts, self.headers))
