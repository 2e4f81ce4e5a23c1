"""Certificates of every kind a receiver may show, made anew for each run by an authority that lives as long."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.transport import tls_context

NAME: Final = "hooks.test"
LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
NOT_LONG_AGO: Final = datetime(2020, 1, 2, tzinfo=UTC)
ONE_DAY: Final = datetime(2100, 1, 1, tzinfo=UTC)
LATER: Final = datetime(2100, 1, 2, tzinfo=UTC)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("an authority for tests")
        self._certificate = self._sign(
            self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None)
        )

    def trusted(self) -> ssl.SSLContext:
        """The relay's own, which trusts this authority as well."""
        context = tls_context()
        context.load_verify_locations(cadata=_pem(self._certificate).decode())
        return context

    def written(self, folder: Path) -> Path:
        """Its own certificate, in a file."""
        file = folder / "authority.pem"
        file.write_bytes(_pem(self._certificate))
        return file

    def served(
        self,
        folder: Path,
        *,
        name: str = NAME,
        valid: tuple[datetime, datetime] = (LONG_AGO, ONE_DAY),
        self_signed: bool = False,
    ) -> ssl.SSLContext:
        """What a receiver shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        certificate = (
            Authority._issue(_name(name), key, _name(name), key.public_key(), names, valid)
            if self_signed
            else self._sign(_name(name), key.public_key(), names, valid)
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file = folder / "receiver.pem"
        file.write_bytes(private + _pem(certificate))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def _sign(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
        valid: tuple[datetime, datetime] = (LONG_AGO, LATER),
    ) -> x509.Certificate:
        return self._issue(self._name, self._key, subject, public, extension, valid)

    @staticmethod
    def _issue(
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
        valid: tuple[datetime, datetime],
    ) -> x509.Certificate:
        begins, ends = valid
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(extension, critical=False)
            .sign(key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
