"""The door to what only an installation with the extra `otel` has."""

from typing import TYPE_CHECKING

from relay.domain.errors import RelayError

if TYPE_CHECKING:
    from relay.tracing.otlp import Codec


class OtlpUnavailable(RelayError):
    def __init__(self) -> None:
        super().__init__("traces need a library that is not installed: pip install camb-relay[otel]")


def codec_type() -> "type[Codec]":
    """Raises OtlpUnavailable."""
    try:
        from relay.tracing.otlp import Codec  # noqa: PLC0415 - an extra: whoever has no collector does without
    except ImportError:
        raise OtlpUnavailable from None
    return Codec
