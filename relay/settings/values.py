"""The kinds of value a setting may have. What is said of a wrong one never repeats it."""

import ipaddress
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from relay.domain.hosts import parse_hosts
from relay.domain.keys import signing_key
from relay.domain.kinds import KINDS
from relay.webhook.signing import Ed25519Unavailable, Signer

LOOPBACK: Final = "loopback"
PRIVATE: Final = "private"

_CLIENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_API_TOKEN = re.compile(
    r"[A-Za-z0-9._~+/-]{8,256}={0,2}"
)  # RFC 6750 §2.1: what `Authorization: Bearer` can carry
_CAMB_KEY = re.compile(r"[!-~]{1,512}")
_URL = re.compile(r"[!-~]{1,2048}")
# Years and months are left out: they have no fixed length, and P5M would be read for five minutes.
_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)
_SQLITE = "sqlite:///"
_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_FILES = ("sslrootcert", "sslcert", "sslkey")


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('should be an ISO 8601 duration such as "PT5M" (5 minutes) or "P30D" (30 days)')
    return timedelta(
        **{unit: float(number) for unit, number in match.groupdict().items() if number is not None}
    )


def _whole_seconds(length: timedelta) -> timedelta:
    if length.microseconds:
        raise ValueError("should be whole seconds")
    return length


def _client_name(name: str) -> str:
    if not _CLIENT_NAME.fullmatch(name) or "__" in name:
        raise ValueError(
            "a client's name should be 1 to 32 of a-z, 0-9 and _, first a letter, without two _ in a row"
        )
    return name


def _host(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise ValueError("should be an IP address without brackets or a host name") from None
    return host


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"should be one of CAMB's task kinds: {', '.join(KINDS)}")
    return kind


def _network(text: str) -> str:
    if text in {LOOPBACK, PRIVATE}:
        return text
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(
            f'should be {LOOPBACK}, {PRIVATE} or a network without host bits such as "10.1.0.0/16"'
        ) from None


def _host_pattern(text: str) -> str:
    try:
        parse_hosts([text])
    except ValueError:
        raise ValueError(
            'should be a host such as "hooks.example.com", "*.example.com", "192.0.2.7" or a network such as '
            '"2001:db8::/32", without scheme, port and path, in punycode where it is not ASCII'
        ) from None
    return text.strip()


def _api_token(token: SecretStr) -> SecretStr:
    if not _API_TOKEN.fullmatch(token.get_secret_value()):
        raise ValueError("should be 8 to 256 letters, digits and -._~+/ (what a Bearer header can carry)")
    return token


def _camb_api_key(key: SecretStr) -> SecretStr:
    if not _CAMB_KEY.fullmatch(key.get_secret_value()):
        raise ValueError("should be 1 to 512 printable ASCII characters without spaces")
    return key


def _signing_secret(secret: SecretStr) -> SecretStr:
    try:
        Signer([signing_key(secret.get_secret_value())])
    except Ed25519Unavailable as exc:
        raise ValueError(str(exc)) from None
    except ValueError as exc:
        raise ValueError(f"{exc}; `relay secret` makes one") from None
    return secret


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if _URL.fullmatch(url) and port != 0 else None


def _base_url(url: str) -> str:
    parts = _split(url)
    if (
        parts is None
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or "?" in url
        or "#" in url
    ):
        raise ValueError("should be an http or https URL with a host, without user, query and fragment")
    return url.rstrip("/")


def _database_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text.startswith("sqlite"):
        path = text.removeprefix(_SQLITE)
        if (
            path in {text, "", ":memory:"}
            or path.endswith("/")
            or not path.isprintable()
            or set(path) & set("?#")
        ):
            raise ValueError('should name a file, as "sqlite:///relay.db" or "sqlite:////data/relay.db"')
        return url
    parts = _split(text)
    if (
        parts is None
        or parts.scheme != "postgresql"
        or not parts.hostname
        or parts.path in {"", "/"}
        or "#" in text
        # A password that is not percent-encoded would be cut short, and its rest be shown as if a path.
        or text.count("@") != parts.netloc.count("@")
        or text.count("@") > 1
    ):
        raise ValueError(
            'should look like "sqlite:///relay.db" or "postgresql://user:password@host:5432/database", '
            "with @ : / ? # of user and password percent-encoded (%40 %3A %2F %3F %23)"
        )
    for rule in _broken_tls(parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError(rule)
    return url


def _broken_tls(query: list[tuple[str, str]]) -> Iterator[str]:
    """Which rules for libpq's words the parameters break, the first of all that matter first."""
    words = dict(query)
    mode = words.get("sslmode")
    files = [name for name in _TLS_FILES if name in words]
    if len(words) < len(query) or not set(words) <= {"sslmode", *_TLS_FILES}:
        yield f"may have no parameters but sslmode, {', '.join(_TLS_FILES)}, each once"
    if mode is not None and mode not in _TLS_MODES:
        yield f"should have as sslmode one of {', '.join(_TLS_MODES)}"
    if not all(words[name].isprintable() and words[name] for name in files):
        yield f"should name a file as {' and '.join(files)}"
    if files and mode not in _TLS_MODES[3:]:
        yield f"should have as sslmode one of {', '.join(_TLS_MODES[3:])}: below them {files[0]} has no effect"
    if mode in _TLS_MODES[4:] and "sslrootcert" not in words:
        yield f"should say as sslrootcert whom sslmode={mode} trusts: a file of certificates, or system"
    if words.get("sslrootcert") == "system" and mode != "verify-full":
        yield "should have sslmode=verify-full with sslrootcert=system: such a certificate is anybody's"
    if "sslkey" in words and "sslcert" not in words:
        yield "should have sslcert with sslkey"


def duration_text(length: timedelta) -> str:
    """ISO 8601 in the units that settings take: pydantic would write a year."""
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    exact = (
        f"{seconds}.{length.microseconds:06d}".rstrip("0").rstrip(".")
        if length.microseconds
        else str(seconds)
    )
    days = f"{length.days}D" if length.days else ""
    clock = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M")) if number)
    clock += f"{exact}S" if exact != "0" or not (days or clock) else ""
    return f"P{days}T{clock}" if clock else f"P{days}"


def masked_database_url(url: str) -> str:
    """The URL with the password blotted out; `url` has passed the rule above."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
WholeSeconds = Annotated[Duration, AfterValidator(_whole_seconds)]
ClientName = Annotated[str, AfterValidator(_client_name)]
Host = Annotated[str, AfterValidator(_host)]
KindName = Annotated[str, AfterValidator(_kind)]
Network = Annotated[str, AfterValidator(_network)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
ApiToken = Annotated[SecretStr, AfterValidator(_api_token)]
CambApiKey = Annotated[SecretStr, AfterValidator(_camb_api_key)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
