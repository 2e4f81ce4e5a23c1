"""What stands, or seems to stand, between the relay and a receiver: proxies, names, nobody at the port."""

import asyncio

import pytest

from relay.domain.deliveries import Accepted, Blocked, Failure, Unreachable
from tests.receivers.calling import HOME, UNKNOWN, Caller, calling, relaying
from tests.relays import RelayInHand
from tests.sockets import ACCEPTED, answer, closing, hanging, listening, unused_port

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.mark.parametrize("alive", [True, False], ids=["a proxy that answers", "a proxy that is down"])
async def test_no_proxy_of_the_environment_is_ever_asked(
    monkeypatch: pytest.MonkeyPatch, *, alive: bool
) -> None:
    async with listening(ACCEPTED) as server, listening(answer("502 By the proxy")) as proxy:
        address = proxy.origin if alive else f"http://127.0.0.1:{unused_port()}"
        for name in PROXIES:
            monkeypatch.setenv(name, address)
        monkeypatch.setenv("NO_PROXY", "")
        async with calling() as caller:
            attempt = await caller.call(server.origin)

    assert attempt.outcome == Accepted(http_status=204)
    assert proxy.connections == 0


async def test_a_login_in_the_environments_netrc_is_sent_to_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login relay password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    async with listening(ACCEPTED) as server, calling() as caller:
        await caller.call(server.origin)

    assert "authorization" not in server.received[0].headers


async def test_what_is_wrong_with_a_target_is_told_apart_in_its_attempts(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    down = unused_port()

    async def blurt(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("400 Plain"))
        writer.close()

    async with (
        await asyncio.start_server(blurt, "127.0.0.1", 0) as plain,
        listening(answer("503 Busy")) as busy,
        listening(closing(b"no HTTP")) as strange,
        listening(hanging()) as silent,
        relaying(tmp_path_factory.mktemp("relay"), deadline="PT0.3S") as relay,
    ):
        targets = {
            f"http://127.0.0.1:{down}/": "connect: Connection refused",
            f"https://{UNKNOWN}/": "dns: the name could not be resolved",
            f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}/": "tls: ",
            silent.origin: "timeout: no answer within 0.3 s",
            strange.origin: "protocol: the answer was not proper HTTP",
            busy.origin: "the callback answered 503",
        }
        made = {url: await relay.register(callback_url=url) for url in targets}
        told = {url: (await relay.attempts(id_))[0]["error"] for url, id_ in made.items()}
        states = {(await relay.read(id_))["state"] for id_ in made.values()}

    assert {url: error[: len(targets[url])] for url, error in told.items()} == targets
    assert states == {"delivering"}


async def test_a_target_that_comes_up_later_is_reached_on_its_schedule(relay: RelayInHand) -> None:
    port = unused_port()
    registration = await relay.register(callback_url=f"http://127.0.0.1:{port}/")
    down = await relay.read(registration)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED)
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", port):
        await relay.pass_to_next("deliveries")

    assert down["state"] == "delivering"
    assert (await relay.read(registration))["state"] == "delivered"


@pytest.mark.parametrize(
    "name", ["localhost", "localhost.", "LOCALHOST", "localhost.localdomain.", "xn--lcalhost-30a.test"]
)
async def test_a_name_of_this_machine_is_not_dialled_without_leave_however_it_is_spelled(name: str) -> None:
    async with listening(ACCEPTED) as server, calling(callbacks={"allow_http": "always"}) as caller:
        attempt = await caller.call(f"http://{name}:{server.port}/")

    assert isinstance(attempt.outcome, Blocked)
    assert HOME not in attempt.outcome.rule
    assert server.connections == 0


async def test_a_lookup_that_fails_is_no_verdict_on_the_next_one(caller: Caller) -> None:
    async with listening(ACCEPTED) as server:
        unknown = await caller.call(f"http://{UNKNOWN}:{server.port}/")
        known = await caller.call(f"http://known.test:{server.port}/")

    assert unknown.outcome == Unreachable(failure=Failure.DNS, detail="the name could not be resolved")
    assert known.outcome == Accepted(http_status=204)
