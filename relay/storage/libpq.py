"""libpq's words for TLS in a PostgreSQL URL, as asyncpg takes them.

https://www.postgresql.org/docs/current/libpq-ssl.html says what they mean.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from relay.domain.errors import DatabaseUnavailable

TLS_WORDS: Final[tuple[str, ...]] = ("sslmode", "sslrootcert", "sslcert", "sslkey")
SYSTEM: Final = "system"
"""As `sslrootcert`: whoever the machine trusts."""

_UNVERIFIED: Final = frozenset({"disable", "allow", "prefer"})
# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH, whose message names the host.
_ANOTHER_HOST: Final = frozenset({62, 64})


def tls(words: Mapping[str, str]) -> str | ssl.SSLContext:
    """What asyncpg takes as `ssl`. Raises DatabaseUnavailable where a file cannot be used."""
    mode = words.get("sslmode", "verify-ca" if "sslrootcert" in words else "require")
    if mode in _UNVERIFIED:
        return mode
    root = words.get("sslrootcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    elif root is None or root == SYSTEM:
        context.load_default_certs()
    else:
        with _read("sslrootcert"):
            context.load_verify_locations(root)
    if "sslcert" in words:
        with _read("sslcert and sslkey"):
            # An empty password, for OpenSSL would ask for one on the terminal.
            context.load_cert_chain(words["sslcert"], words.get("sslkey"), password="")
    return context


@contextmanager
def _read(words: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise DatabaseUnavailable(
            f"{words} of the database URL: no PEM file of that, {complaint(error)}"
        ) from error
    except OSError as error:
        raise DatabaseUnavailable(f"{words} of the database URL: {error.strerror}") from error


def complaint(error: ssl.SSLError) -> str:
    """What is wrong, without the server's name or address."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return (error.reason or type(error).__name__).lower().replace("_", " ")
    if error.verify_code in _ANOTHER_HOST:
        return "its certificate is for another host than the URL's"
    return f"its certificate is not trusted, {error.verify_message}; see sslrootcert"
