from collections import Counter
from ipaddress import ip_address

import httpx
import pytest

from relay.domain.addresses import AllowHttp, NetworkPolicy, Verdict, judge
from relay.domain.urls import CallbackUrl, UnusableUrl, parse_callback_url
from relay.transport import BlockedAddress, tls_context
from relay.webhook.guard import Guard, GuardedTransport
from tests.guard import corpus
from tests.guard.dialling import Dialled
from tests.guard.oracle import is_global
from tests.lookups import alike

POLICY = NetworkPolicy(allow_http=AllowHttp.ALWAYS)
TLS = tls_context()


class OneName:
    """A Lookup: whatever the name, this is the answer."""

    def __init__(self, *answer: str) -> None:
        self._answer = answer

    async def __call__(self, name: str) -> tuple[str, ...]:
        return self._answer


async def refused_at_registration(url: CallbackUrl, lookup: OneName) -> str | None:
    refusal = await Guard(POLICY, alike(lookup)).judge("shop", url)
    return None if refusal is None else refusal.rule


async def refused_at_the_socket(url: str, lookup: OneName) -> tuple[str | None, list[str]]:
    """The rule, and who was dialled."""
    dialled = Dialled()
    async with GuardedTransport(POLICY, lookup, TLS, open_socket=dialled.socket) as transport:
        try:
            await transport.handle_async_request(httpx.Request("GET", url))
        except BlockedAddress as blocked:
            return blocked.rule, dialled.peers
        except httpx.ConnectError:
            return None, dialled.peers
    raise AssertionError("nobody answers")


def readable(text: str) -> bool:
    """Whether the client we send with would know a scheme, a host and a port in it."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in {"http", "https"} and bool(url.host) and (url.port or 0) in range(2**16)


def rule_of(verdict: Verdict) -> str | None:
    return None if verdict is Verdict.PUBLIC else f"callbacks may not lead to {verdict} addresses"


@pytest.mark.parametrize(("address", "verdict"), corpus.addresses())
async def test_an_address_of_the_corpus_is_judged_alike_as_itself_in_a_url_and_where_it_is_dialled(
    address: str, verdict: Verdict
) -> None:
    url = parse_callback_url(f"http://[{address}]/" if ":" in address else f"http://{address}/")
    nobody = OneName()

    judged = judge(ip_address(address), NetworkPolicy())
    registered = await refused_at_registration(url, nobody)
    blocked, peers = await refused_at_the_socket(url.text, nobody)

    assert judged is verdict
    assert registered == blocked == rule_of(verdict)
    assert bool(peers) == (verdict is Verdict.PUBLIC)


@pytest.mark.parametrize(("answer", "verdict"), corpus.answers())
async def test_an_answer_of_the_corpus_is_judged_alike_at_registration_and_where_it_is_dialled(
    answer: tuple[str, ...], verdict: Verdict
) -> None:
    url = parse_callback_url("https://a.example/")

    registered = await refused_at_registration(url, OneName(*answer))
    blocked, peers = await refused_at_the_socket(url.text, OneName(*answer))

    assert registered == blocked == rule_of(verdict)
    assert bool(peers) == (verdict is Verdict.PUBLIC)


async def broken_rule(text: str) -> str | None:
    try:
        url = parse_callback_url(text)
    except UnusableUrl as unusable:
        return str(unusable)
    return await refused_at_registration(url, OneName())


@pytest.mark.parametrize(("text", "rule"), corpus.urls())
async def test_a_url_of_the_corpus_is_refused_by_its_rule(text: str, rule: str) -> None:
    assert await broken_rule(text) == (rule or None)


REFUSED = [text for text, rule in corpus.urls() if rule and readable(text)]


@pytest.mark.parametrize("text", REFUSED)
async def test_a_refused_url_of_the_corpus_would_not_lead_inside_either(text: str) -> None:
    blocked, peers = await refused_at_the_socket(text, OneName("127.0.0.1"))

    assert blocked is not None or all(map(is_global, peers))


def test_the_corpus_has_a_case_for_each_verdict_and_none_twice() -> None:
    judged = {verdict for _, verdict in corpus.addresses()}
    cases = Counter([case for case, _ in corpus.addresses()] + [case for case, _ in corpus.urls()])

    assert judged == set(Verdict) - {Verdict.ALLOWED, Verdict.DENIED}
    assert [case for case, times in cases.items() if times > 1] == []
    assert len(cases) > 300


def test_the_public_addresses_of_the_corpus_are_global_by_the_registries() -> None:
    public = [address for address, verdict in corpus.addresses() if verdict is Verdict.PUBLIC]

    assert [address for address in public if not is_global(address)] == []
