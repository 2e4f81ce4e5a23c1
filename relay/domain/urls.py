"""A callback's URL, taken apart once and otherwise left as it was written."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

MAX_CALLBACK_URL: Final = 2048

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_NAME: Final = 253
_PRINTABLE: Final = re.compile(r"[!-~]+")
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_MAX_PORT: Final = 65535


class UnusableUrl(ValueError):
    """The text breaks a rule, and the message is that rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrl:
    """`host` is in lower case and without brackets; `target` is path and query as they go on the wire.

    `origin` leaves the scheme's own port out; `literal` is the address where the host is one. Path and query may
    hold the caller's secrets and are not shown.
    """

    text: str = field(repr=False)
    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    origin: str
    literal: IPv4Address | IPv6Address | None


def parse_origin(text: str) -> str:
    """In lower case and without the scheme's own port. Raises UnusableUrl."""
    url = parse_callback_url(text)
    if url.target != "/":
        raise UnusableUrl("must be scheme, host and port alone, without path or query")
    return url.origin


@lru_cache(maxsize=4096)
def parse_callback_url(text: str) -> CallbackUrl:
    """Raises UnusableUrl."""
    if len(text) > MAX_CALLBACK_URL:
        raise UnusableUrl(f"must be at most {MAX_CALLBACK_URL} characters")
    if not _PRINTABLE.fullmatch(text):
        raise UnusableUrl("must be plain ASCII as on the wire, without spaces or control characters")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise UnusableUrl("must begin with https:// or http://")
    if "#" in rest:
        raise UnusableUrl("must have no fragment")
    end = min((at for mark in "/?" if (at := rest.find(mark)) >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    if target.endswith("?") and target.count("?") == 1:
        raise UnusableUrl("must have no empty query")
    if "@" in authority:
        raise UnusableUrl("must have no user name or password")
    host_text, port = _split_port(authority.lower(), _DEFAULT_PORTS[scheme])
    host, literal = parse_host(host_text)
    bracketed = f"[{host}]" if isinstance(literal, IPv6Address) else host
    shown_port = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return CallbackUrl(
        text=text,
        scheme=scheme,
        host=host,
        port=port,
        target=target if target.startswith("/") else f"/{target}",
        origin=f"{scheme}://{bracketed}{shown_port}",
        literal=literal,
    )


def parse_host(text: str) -> tuple[str, IPv4Address | IPv6Address | None]:
    """A host in lower case, an IPv6 address in brackets; and the address where it is one. Raises UnusableUrl."""
    if not text:
        raise UnusableUrl("must name a host")
    if text.startswith("["):
        return _ipv6(text)
    labels = text.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(text)
    if len(text) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise UnusableUrl("must name a host that DNS could know, in punycode where it is not ASCII")
    return text, None


def _split_port(authority: str, default: int) -> tuple[str, int]:
    host, colon, digits = authority.rpartition(":")
    if not colon or digits.endswith("]"):
        return authority, default
    if not _PORT.fullmatch(digits) or int(digits) > _MAX_PORT:
        raise UnusableUrl(f"must have a port between 1 and {_MAX_PORT}, or none")
    return host, int(digits)


def _ipv6(text: str) -> tuple[str, IPv6Address]:
    try:
        address = IPv6Address(text[1:-1] if text.endswith("]") else text)
    except AddressValueError:
        raise UnusableUrl("must hold a whole IPv6 address between its brackets") from None
    if address.scope_id is not None:
        raise UnusableUrl("must have no zone in its IPv6 address")
    return str(address), address


def _ipv4(text: str) -> tuple[str, IPv4Address]:
    try:
        address = IPv4Address(text)
    except AddressValueError:  # 127.1, 0x7f.1, 0177.0.0.1, 2130706433: resolvers read them, people do not
        raise UnusableUrl("must write an IPv4 address as four decimal numbers") from None
    return text, address
