"""Receivers whose TLS is wrong: nothing is sent to them, and what is wrong can be read in the attempt."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from relay.domain.deliveries import Accepted, Failure, Unreachable
from tests.receivers.calling import HOME, Caller, calling, relaying
from tests.receivers.certificates import LATER, LONG_AGO, NAME, NOT_LONG_AGO, ONE_DAY, Authority
from tests.sockets import ACCEPTED, SocketServer, listening

PAST: Final = (LONG_AGO, NOT_LONG_AGO)
FUTURE: Final = (ONE_DAY, LATER)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def caller(authority: Authority) -> AsyncIterator[Caller]:
    async with calling("PT0.5S", authority.trusted()) as caller:
        yield caller


def at(server: SocketServer, name: str = NAME) -> str:
    return f"https://{name}:{server.port}/"


async def test_a_receiver_is_told_the_name_it_is_called_by_and_its_connection_is_kept(
    authority: Authority, caller: Caller, tmp_path: Path
) -> None:
    names: list[str | None] = []
    shown = authority.served(tmp_path)
    shown.sni_callback = lambda _socket, name, _context: names.append(name)
    async with listening(ACCEPTED, tls=shown) as server:
        attempts = [await caller.call(at(server)) for _ in range(3)]

    assert {attempt.outcome for attempt in attempts} == {Accepted(http_status=204)}
    assert names == [NAME]
    assert server.connections == 1
    assert server.received[0].headers["host"] == f"{NAME}:{server.port}"


@pytest.mark.parametrize(
    ("name", "valid", "self_signed", "told"),
    [
        (NAME, PAST, False, "certificate has expired"),
        (NAME, FUTURE, False, "certificate is not yet valid"),
        (NAME, (LONG_AGO, ONE_DAY), True, "self-signed certificate"),
        ("other.test", (LONG_AGO, ONE_DAY), False, "not valid for 'hooks.test'"),
        ("*.hooks.test", (LONG_AGO, ONE_DAY), False, "not valid for 'hooks.test'"),
    ],
    ids=["expired", "not yet valid", "self-signed", "another name", "a wildcard below it"],
)
async def test_a_certificate_that_does_not_hold_gets_no_notification_and_the_reason_is_told(
    authority: Authority,
    caller: Caller,
    tmp_path: Path,
    name: str,
    valid: tuple[datetime, datetime],
    *,
    self_signed: bool,
    told: str,
) -> None:
    shown = authority.served(tmp_path, name=name, valid=valid, self_signed=self_signed)
    async with listening(ACCEPTED, tls=shown) as server:
        attempt = await caller.call(at(server))

    assert isinstance(attempt.outcome, Unreachable)
    assert attempt.outcome.failure is Failure.TLS
    assert told in attempt.outcome.detail
    assert server.received == []


async def test_an_authority_that_is_not_known_is_not_trusted(caller: Caller, tmp_path: Path) -> None:
    async with listening(ACCEPTED, tls=Authority().served(tmp_path)) as server:
        attempt = await caller.call(at(server))

    assert isinstance(attempt.outcome, Unreachable)
    assert attempt.outcome.failure is Failure.TLS
    assert server.received == []


async def test_an_old_version_of_tls_is_refused(authority: Authority, caller: Caller, tmp_path: Path) -> None:
    shown = authority.served(tmp_path)
    shown.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():
        shown.minimum_version = shown.maximum_version = ssl.TLSVersion.TLSv1_1
    async with listening(ACCEPTED, tls=shown) as server:
        attempt = await caller.call(at(server))

    assert isinstance(attempt.outcome, Unreachable)
    assert attempt.outcome.failure is Failure.TLS
    assert server.received == []


async def during_the_handshake(caller: Caller, *, hang: bool, said: bytes = b"") -> Unreachable:
    """What comes of a receiver that says so much instead of a handshake, and then hangs up or does not."""
    over = asyncio.Event()

    async def spoil(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        if hang:
            await over.wait()
        writer.transport.abort()

    async with await asyncio.start_server(spoil, HOME, 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempt = await asyncio.wait_for(caller.call(f"https://{NAME}:{port}/"), 10)
        over.set()
    assert isinstance(attempt.outcome, Unreachable)
    return attempt.outcome


async def test_a_receiver_that_resets_in_the_handshake_is_a_failure_of_tls(caller: Caller) -> None:
    assert (await during_the_handshake(caller, hang=False)).failure is Failure.TLS


async def test_a_receiver_that_speaks_plain_http_is_a_failure_of_tls(caller: Caller) -> None:
    assert (await during_the_handshake(caller, hang=False, said=ACCEPTED)).failure is Failure.TLS


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03"], ids=["at once", "within a record"])
async def test_a_handshake_that_hangs_costs_the_deadline(caller: Caller, said: bytes) -> None:
    outcome = await during_the_handshake(caller, hang=True, said=said)

    assert outcome == Unreachable(failure=Failure.TIMEOUT, detail="no answer within 0.5 s")


async def test_a_certificate_that_is_put_right_is_found_by_the_next_attempt(
    authority: Authority, tmp_path: Path
) -> None:
    shown = authority.served(tmp_path, valid=PAST)
    async with (
        listening(ACCEPTED, tls=shown) as server,
        relaying(tmp_path, tls=authority.trusted()) as relay,
    ):
        registration = await relay.register(callback_url=at(server))
        authority.served(tmp_path)  # the new one lies in the old one's file
        shown.load_cert_chain(tmp_path / "receiver.pem")
        await relay.pass_to_next("deliveries")
        resource, attempts = await relay.read(registration), await relay.attempts(registration)

    assert resource["state"] == "delivered"
    assert [each["error"] for each in attempts] == ["tls: certificate has expired", None]
