from ipaddress import ip_network

import pytest

from relay.domain.addresses import AllowHttp
from relay.domain.urls import parse_callback_url
from relay.transport import tls_context
from tests.guard import fuzz, oracle
from tests.guard.hostile import Case

COUNT, SEED = 2_000, 20_261_123


async def test_no_hostile_url_leads_where_an_independent_oracle_would_not_go() -> None:
    happened = await fuzz.run(COUNT, SEED, tls_context())

    assert happened["URLs that are registered or refused"] > COUNT / 3
    assert happened["URLs that no client reads"] > COUNT / 3
    assert happened["blocked at the socket"] > COUNT / 3
    assert happened["addresses dialled"] > COUNT / 10


@pytest.mark.parametrize(
    ("spelling", "dialled"),
    [
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
    ],
)
def test_the_oracle_reads_numbers_as_the_c_library_does(spelling: str, dialled: str) -> None:
    assert oracle.resolved(spelling) == (dialled,)


def test_the_oracle_knows_what_an_operator_allowed() -> None:
    home = (ip_network("10.0.0.0/8"),)

    assert oracle.may_be_called("8.8.8.8", ())
    assert not oracle.may_be_called("10.0.0.1", ())
    assert oracle.may_be_called("10.0.0.1", home)
    assert oracle.may_be_called("64:ff9b::a00:1", home)
    assert not oracle.may_be_called("64:ff9b::7f00:1", home)
    assert not oracle.may_be_called("64:ff9b:1:7f00:0:100::", (*home, ip_network("64:ff9b:1::/48")))
    assert oracle.leads_into("2002:a00:1::", home)
    assert not oracle.leads_into("8.8.8.8", home)


STRICT, LISTED = fuzz.Rules(), fuzz.Rules(deny_hosts=("*.denied.example", "8.8.8.8"))
ANSWER, OTHER = ("93.184.216.34",), ("93.184.216.35",)


@pytest.mark.parametrize(
    ("rules", "url", "answer", "refused", "blocked", "peers", "wrong"),
    [
        (STRICT, "https://a.example/", ("10.0.0.1",), None, None, ("10.0.0.1",), "was dialled"),
        (STRICT, "https://a.example/", ANSWER, None, None, OTHER, "leads to"),
        (STRICT, "https://a.example/", ANSWER, None, "rule", (), "differ"),
        (STRICT, "https://a.example/", ANSWER, "rule", None, ANSWER, "differ"),
        (STRICT, "https://a.example/", ANSWER, None, None, (), "neither"),
        (LISTED, "https://a.denied.example/", ANSWER, None, None, ANSWER, "a denied host"),
        (LISTED, "https://a.example/", ("8.8.8.8",), None, None, ("8.8.8.8",), "though denied"),
        (
            fuzz.Rules(allow_hosts=("b.example",)),
            "https://a.example/",
            ANSWER,
            None,
            None,
            ANSWER,
            "not allowed",
        ),
        (fuzz.Rules(http=AllowHttp.NEVER), "http://a.example/", ANSWER, None, None, ANSWER, "by http"),
        (
            fuzz.Rules(http=AllowHttp.ALLOWED_NETWORKS),
            "http://a.example/",
            ANSWER,
            None,
            None,
            ANSWER,
            "by http",
        ),
    ],
)
def test_the_oracle_tells_when_the_guard_is_wrong(
    rules: fuzz.Rules,
    url: str,
    answer: tuple[str, ...],
    refused: str | None,
    blocked: str | None,
    peers: tuple[str, ...],
    wrong: str,
) -> None:
    case = Case(url=url, first=answer, then=answer)
    seen = fuzz.Seen(url=parse_callback_url(url), refused=refused, blocked=blocked, peers=peers)

    with pytest.raises(fuzz.Wrong, match=wrong):
        fuzz.check(case, rules, seen)
