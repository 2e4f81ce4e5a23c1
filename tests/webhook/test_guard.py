import asyncio
from collections.abc import Mapping

import httpx
import pytest

from relay.domain.addresses import AllowHttp, NetworkPolicy, parse_networks
from relay.domain.hosts import parse_hosts
from relay.domain.urls import parse_callback_url
from relay.transport import BlockedAddress, NameResolutionError, release, tls_context
from relay.webhook.guard import LOOKUPS_AT_ONCE, Guard, GuardedTransport, Refusal
from relay.webhook.names import Lookup
from tests.lookups import alike
from tests.sockets import OK, SocketServer, listening

PUBLIC, HOME = "8.8.8.8", "127.0.0.1"
STRICT = NetworkPolicy()
LOOPBACK = parse_networks(["loopback"])
AT_HOME = NetworkPolicy(allow_networks=LOOPBACK, allow_http=AllowHttp.ALLOWED_NETWORKS)
HTTP_EVERYWHERE = NetworkPolicy(allow_networks=LOOPBACK, allow_http=AllowHttp.ALWAYS)

LISTS = NetworkPolicy(
    allow_networks=LOOPBACK,
    allow_hosts=parse_hosts(["*.example", "localhost", "127.0.0.1", "8.8.8.8"]),
    deny_hosts=parse_hosts(["denied.example", "*.denied.example", "127.0.0.2", "8.8.4.4"]),
    allow_http=AllowHttp.ALWAYS,
)

NO_DENIED = "callbacks may not go to hosts the operator has denied"
ONLY_ALLOWED = "callbacks may go only to hosts the operator has allowed"
NO_DENIED_ADDRESS = "callbacks may not lead to denied addresses"
NO_HTTP = "callbacks must use https"
HTTP_AT_HOME = "callbacks may use plain http only into networks the operator has allowed"
NO_LOOPBACK = "callbacks may not lead to loopback addresses"
NO_PRIVATE = "callbacks may not lead to private addresses"


class Names:
    """A Lookup that knows a few names and writes down what it was asked."""

    def __init__(self, known: Mapping[str, tuple[str, ...]]) -> None:
        self.known = dict(known)
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, name: str) -> tuple[str, ...]:
        self.asked.append(name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if name not in self.known:
            raise OSError(-2, "Name or service not known")
        return self.known[name]


NAMES = {
    "public.example": (PUBLIC, "2606:4700:4700::1111"),
    "home.example": (HOME,),
    "mixed.example": (PUBLIC, "10.0.0.1"),
    "nat64.example": ("64:ff9b::7f00:1",),
    "zone.example": ("fe80::1%1",),
    "localhost.": (HOME, "::1"),
    "denied.example": (HOME,),
    "alias.example": (HOME, "127.0.0.2"),
    "nat64-alias.example": ("64:ff9b::8.8.4.4",),
}


@pytest.mark.parametrize(
    ("policy", "url", "rule"),
    [
        (STRICT, "https://public.example/", None),
        (STRICT, "https://home.example/", NO_LOOPBACK),
        (STRICT, "https://mixed.example/", NO_PRIVATE),
        (STRICT, "https://nat64.example/", NO_LOOPBACK),
        (STRICT, "https://zone.example/", "callbacks may not lead to link-local addresses"),
        (STRICT, "https://localhost./", NO_LOOPBACK),
        (STRICT, "https://unknown.example/", None),
        (STRICT, "https://8.8.8.8/", None),
        (STRICT, "https://127.0.0.1/", NO_LOOPBACK),
        (STRICT, "https://[::ffff:10.0.0.1]/", NO_PRIVATE),
        (STRICT, "http://public.example/", NO_HTTP),
        (STRICT, "http://unknown.example/", NO_HTTP),
        (STRICT, "http://8.8.8.8/", NO_HTTP),
        (AT_HOME, "http://home.example/", None),
        (AT_HOME, "http://127.0.0.1:8080/", None),
        (AT_HOME, "http://[::1]/", None),
        (AT_HOME, "http://public.example/", HTTP_AT_HOME),
        (AT_HOME, "http://8.8.8.8/", HTTP_AT_HOME),
        (AT_HOME, "http://mixed.example/", HTTP_AT_HOME),
        (AT_HOME, "http://unknown.example/", None),
        (AT_HOME, "https://public.example/", None),
        (AT_HOME, "https://mixed.example/", NO_PRIVATE),
        (HTTP_EVERYWHERE, "http://public.example/", None),
        (HTTP_EVERYWHERE, "http://mixed.example/", NO_PRIVATE),
        (LISTS, "http://home.example/", None),
        (LISTS, "http://HOME.example.:8080/", None),
        (LISTS, "http://127.0.0.1/", None),
        (LISTS, "http://localhost./", None),
        (LISTS, "http://mixed.example/", NO_PRIVATE),
        (LISTS, "http://denied.example/", NO_DENIED),
        (LISTS, "http://a.Denied.example.:8080/", NO_DENIED),
        (LISTS, "http://127.0.0.2/", NO_DENIED),
        (LISTS, "http://[::ffff:127.0.0.2]/", NO_DENIED),
        (LISTS, "http://127.0.0.3/", ONLY_ALLOWED),
        (LISTS, "http://public.test/", ONLY_ALLOWED),
        (LISTS, "http://unknown.example/", None),
        (LISTS, "http://alias.example/", NO_DENIED_ADDRESS),
        (LISTS, "http://nat64-alias.example/", NO_DENIED_ADDRESS),
    ],
)
async def test_a_callback_is_refused_at_registration_by_the_rule_it_breaks(
    policy: NetworkPolicy, url: str, rule: str | None
) -> None:
    refusal = await Guard(policy, alike(Names(NAMES))).judge("shop", parse_callback_url(url))

    assert refusal == (None if rule is None else Refusal(rule=rule))


async def test_a_batch_is_judged_in_order_and_each_name_looked_up_once() -> None:
    names = Names(NAMES)
    urls = [
        "https://home.example/a",
        "https://public.example/b",
        "http://public.example/c",
        "https://home.example:8443/d",
        "https://10.0.0.1/e",
        "https://public.example/f",
    ]

    refusals = await Guard(STRICT, alike(names)).judge_all("shop", list(map(parse_callback_url, urls)))

    assert [refusal and refusal.rule for refusal in refusals] == [
        NO_LOOPBACK,
        None,
        NO_HTTP,
        NO_LOOPBACK,
        NO_PRIVATE,
        None,
    ]
    assert sorted(names.asked) == ["home.example", "public.example"]


async def test_a_host_that_may_not_be_called_is_not_looked_up() -> None:
    names = Names(NAMES)
    urls = ["http://denied.example/", "http://public.test/", "http://home.example/"]

    refusals = await Guard(LISTS, alike(names)).judge_all("shop", list(map(parse_callback_url, urls)))

    assert [refusal and refusal.rule for refusal in refusals] == [NO_DENIED, ONLY_ALLOWED, None]
    assert names.asked == ["home.example"]


async def test_a_batch_looks_up_so_many_names_at_once_and_no_more() -> None:
    names = Names({f"n{number}.example": (HOME,) for number in range(100)})

    refusals = await Guard(STRICT, alike(names)).judge_all(
        "shop", [parse_callback_url(f"https://{name}/") for name in names.known]
    )

    assert len(names.asked) == 100
    assert names.most_at_once == LOOKUPS_AT_ONCE
    assert all(refusals)


async def test_a_name_that_takes_too_long_refuses_nobody() -> None:
    async def lookup(name: str) -> tuple[str, ...]:
        if name == "slow.example":
            await asyncio.Event().wait()
        return (HOME,)

    started = asyncio.get_running_loop().time()
    slow, fast = await Guard(STRICT, alike(lookup)).judge_all(
        "shop", [parse_callback_url("https://slow.example/"), parse_callback_url("https://fast.example/")]
    )

    assert slow is None
    assert fast == Refusal(rule=NO_LOOPBACK)
    assert asyncio.get_running_loop().time() - started < 3


async def test_names_are_looked_up_for_whoever_wants_to_know() -> None:
    asked: list[str] = []

    def lookups(client: str) -> Lookup:
        asked.append(client)
        return Names(NAMES)

    guard = Guard(STRICT, lookups)
    for client in ("shop", "bank"):
        await guard.judge(client, parse_callback_url("https://public.example/"))

    assert asked == ["shop", "bank"]


async def test_nothing_is_judged_for_an_empty_batch() -> None:
    assert await Guard(STRICT, alike(Names({}))).judge_all("shop", []) == []


async def status_of(transport: GuardedTransport, url: str) -> int:
    response = await transport.handle_async_request(httpx.Request("GET", url))
    await release(response)
    return response.status_code


def at(host: str, server: SocketServer) -> str:
    return f"http://{host}:{server.port}/"


@pytest.mark.parametrize("policy", [AT_HOME, LISTS], ids=["networks", "networks and hosts"])
@pytest.mark.parametrize("host", ["home.example", "127.0.0.1", "localhost."])
async def test_an_allowed_network_is_dialled(host: str, policy: NetworkPolicy) -> None:
    names = Names(NAMES | {"localhost.": (HOME,)})
    async with listening(OK) as server, GuardedTransport(policy, names, tls_context()) as transport:
        status = await status_of(transport, at(host, server))

    assert status == 200


@pytest.mark.parametrize(
    ("policy", "url", "rule", "final"),
    [
        (STRICT, "https://127.0.0.1:{port}/", NO_LOOPBACK, True),
        (STRICT, "https://[::1]:{port}/", NO_LOOPBACK, True),
        (STRICT, "https://[::ffff:127.0.0.1]:{port}/", NO_LOOPBACK, True),
        (STRICT, "https://home.example:{port}/", NO_LOOPBACK, False),
        (STRICT, "http://127.0.0.1:{port}/", NO_HTTP, True),
        (STRICT, "http://home.example:{port}/", NO_HTTP, True),
        (AT_HOME, "http://8.8.8.8:{port}/", HTTP_AT_HOME, True),
        (AT_HOME, "http://public.example:{port}/", HTTP_AT_HOME, False),
        (AT_HOME, "http://mixed.example:{port}/", HTTP_AT_HOME, False),
        (HTTP_EVERYWHERE, "http://mixed.example:{port}/", NO_PRIVATE, False),
        (LISTS, "http://denied.example:{port}/", NO_DENIED, True),
        (LISTS, "http://DENIED.example.:{port}/", NO_DENIED, True),
        (LISTS, "http://127.0.0.2:{port}/", NO_DENIED, True),
        (LISTS, "http://127.0.0.3:{port}/", ONLY_ALLOWED, True),
        (LISTS, "http://[::1]:{port}/", ONLY_ALLOWED, True),
        (LISTS, "http://home.test:{port}/", ONLY_ALLOWED, True),
        (LISTS, "http://alias.example:{port}/", NO_DENIED_ADDRESS, False),
        (HTTP_EVERYWHERE, "http://127.1:{port}/", "must write an IPv4 address as four decimal numbers", True),
        (
            HTTP_EVERYWHERE,
            "http://2130706433:{port}/",
            "must write an IPv4 address as four decimal numbers",
            True,
        ),
    ],
)
async def test_what_may_not_be_dialled_is_blocked_before_a_connection(
    policy: NetworkPolicy, url: str, rule: str, *, final: bool
) -> None:
    async with listening(OK) as server, GuardedTransport(policy, Names(NAMES), tls_context()) as transport:
        with pytest.raises(BlockedAddress) as blocked:
            await status_of(transport, url.format(port=server.port))

    assert (blocked.value.rule, blocked.value.final) == (rule, final)
    assert server.connections == 0


async def test_a_callback_that_was_accepted_before_its_host_was_denied_is_blocked_for_good() -> None:
    url = parse_callback_url("http://shop.example/")
    names = Names({"shop.example": (PUBLIC,)})
    accepted = await Guard(HTTP_EVERYWHERE, alike(names)).judge("shop", url)
    later = NetworkPolicy(deny_hosts=parse_hosts(["shop.example"]), allow_http=AllowHttp.ALWAYS)

    async with GuardedTransport(later, names, tls_context()) as transport:
        with pytest.raises(BlockedAddress) as blocked:
            await status_of(transport, url.text)

    assert accepted is None
    assert (blocked.value.rule, blocked.value.final) == (NO_DENIED, True)
    assert names.asked == ["shop.example"]


async def test_one_private_address_among_a_names_answers_blocks_the_name() -> None:
    names = Names({"mixed.example": (HOME, "10.0.0.1")})
    async with listening(OK) as server, GuardedTransport(AT_HOME, names, tls_context()) as transport:
        with pytest.raises(BlockedAddress):
            await status_of(transport, at("mixed.example", server))

    assert server.connections == 0


async def test_a_name_that_moved_after_its_registration_is_judged_again() -> None:
    names = Names({"moving.example": (PUBLIC,)})
    url = parse_callback_url("https://moving.example/")
    accepted = await Guard(STRICT, alike(names)).judge("shop", url)
    names.known["moving.example"] = (HOME,)

    async with GuardedTransport(STRICT, names, tls_context()) as transport:
        with pytest.raises(BlockedAddress):
            await status_of(transport, url.text)

    assert accepted is None


async def test_plain_http_never_uses_what_was_judged_for_https() -> None:
    policy = NetworkPolicy(allow_http=AllowHttp.ALLOWED_NETWORKS)
    names = Names({"home.example": (HOME,), "public.example": (PUBLIC,)})
    async with GuardedTransport(policy, names, tls_context()) as transport:
        with pytest.raises(BlockedAddress, match="loopback"):
            await status_of(transport, "https://home.example/")
        with pytest.raises(BlockedAddress, match="plain http"):
            await status_of(transport, "http://public.example:443/")

    assert names.asked == ["home.example", "public.example"]


@pytest.mark.parametrize("known", [{}, {"empty.example": ()}], ids=["unknown", "empty"])
async def test_a_name_without_an_address_is_not_blocked_but_unresolved(
    known: dict[str, tuple[str, ...]],
) -> None:
    async with GuardedTransport(STRICT, Names(known), tls_context()) as transport:
        with pytest.raises(NameResolutionError):
            await status_of(transport, "https://empty.example/")


async def test_every_waiter_for_a_blocked_name_is_told_so() -> None:
    async with GuardedTransport(STRICT, Names(NAMES), tls_context()) as transport:
        results = await asyncio.gather(
            *(status_of(transport, "https://home.example/") for _ in range(10)), return_exceptions=True
        )

    assert {type(result) for result in results} == {BlockedAddress}
