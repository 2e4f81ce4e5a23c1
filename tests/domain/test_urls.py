import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from relay.domain.urls import MAX_CALLBACK_URL, CallbackUrl, UnusableUrl, parse_callback_url, parse_origin

PUNCTUATION = "-._~:/?[]@!$&'()*+,;=%\\\"<>^`{|}"
TARGETS = st.text(st.sampled_from("abcXYZ019" + PUNCTUATION), max_size=60)
NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,9}(\.[a-zA-Z][a-zA-Z0-9_-]{0,9}){0,3}\.?", fullmatch=True)
LITERALS = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda address: f"[{address}]"))


@pytest.mark.parametrize(
    ("text", "origin", "target"),
    [
        ("https://example.com", "https://example.com", "/"),
        ("https://EXAMPLE.com:443/A", "https://example.com", "/A"),
        ("HTTPS://example.com/", "https://example.com", "/"),
        ("http://example.com:80", "http://example.com", "/"),
        ("http://example.com:443", "http://example.com:443", "/"),
        ("https://example.com?a=b", "https://example.com", "/?a=b"),
        (
            "https://example.com/a/../b//c?sig=a%2Bb%2Fc%3D",
            "https://example.com",
            "/a/../b//c?sig=a%2Bb%2Fc%3D",
        ),
        ("https://example.com//x", "https://example.com", "//x"),
        ("https://example.com/%2e%2e/%zz", "https://example.com", "/%2e%2e/%zz"),
        ("https://example.com/a?b?", "https://example.com", "/a?b?"),
        ("https://example.com/a?b=c/d@e:f", "https://example.com", "/a?b=c/d@e:f"),
        ("https://localhost./x", "https://localhost.", "/x"),
        ("https://a_b-c.xn--bcher-kva.example/", "https://a_b-c.xn--bcher-kva.example", "/"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080", "/x"),
        ("http://[::1]:8080/x", "http://[::1]:8080", "/x"),
        ("http://[2001:DB8:0::1]", "http://[2001:db8::1]", "/"),
        ("https://10.example/", "https://10.example", "/"),
    ],
)
def test_a_callback_url_keeps_its_target_as_written(text: str, origin: str, target: str) -> None:
    url = parse_callback_url(text)

    assert (url.text, url.origin, url.target) == (text, origin, target)


HOST = "must name a host that DNS could know, in punycode where it is not ASCII"
IPV4 = "must write an IPv4 address as four decimal numbers"
IPV6 = "must hold a whole IPv6 address between its brackets"
PORT = "must have a port between 1 and 65535, or none"
SCHEME = "must begin with https:// or http://"
ASCII = "must be plain ASCII as on the wire, without spaces or control characters"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", ASCII),
        ("https://example.com/a b", ASCII),
        ("https://example.com/\n", ASCII),
        (" https://example.com/", ASCII),
        ("https://example.com/\x00", ASCII),
        ("https://example.com/\x7f", ASCII),
        ("https://bücher.example/", ASCII),
        ("https://example.com/ü", ASCII),
        ("https://example.com/\ud800", ASCII),
        ("example.com", SCHEME),
        ("ftp://example.com/", SCHEME),
        ("https:/example.com/", SCHEME),
        ("https:\\\\example.com/", SCHEME),
        ("//example.com/", SCHEME),
        ("javascript:alert(1)", SCHEME),
        ("https://example.com/#", "must have no fragment"),
        ("https://example.com#/a", "must have no fragment"),
        ("https://example.com/?", "must have no empty query"),
        ("https://example.com?", "must have no empty query"),
        ("https://user@example.com/", "must have no user name or password"),
        ("https://user:password@example.com/", "must have no user name or password"),
        ("https://example.com:443@internal/", "must have no user name or password"),
        ("https:///path", "must name a host"),
        ("https://:443/", "must name a host"),
        ("https://?a", "must name a host"),
        ("https://example.com:0/", PORT),
        ("https://example.com:65536/", PORT),
        ("https://example.com:/", PORT),
        ("https://example.com:080/", PORT),
        ("https://example.com:+80/", PORT),
        ("https://example.com:-1/", PORT),
        ("https://[::1]80/", PORT),
        ("https://example..com/", HOST),
        ("https://./", HOST),
        ("https://.example.com/", HOST),
        ("https://example.com../", HOST),
        ("https://%6c%6fcalhost/", HOST),
        ("https://good.example\\@internal/", "must have no user name or password"),
        ("https://good.example\\internal/", HOST),
        ("https://a:1:2/", HOST),
        ("https://::1/", HOST),
        (f"https://{'a' * 64}.example/", HOST),
        (f"https://{'a.' * 130}example/", HOST),
        ("https://127.1/", IPV4),
        ("https://0x7f.1/", IPV4),
        ("https://0x7f000001/", IPV4),
        ("https://2130706433/", IPV4),
        ("https://0177.0.0.1/", IPV4),
        ("https://127.0.0.1./", IPV4),
        ("https://127.0.0.256/", IPV4),
        ("https://1.2.3.4.5/", IPV4),
        ("https://example.0x/", IPV4),
        ("https://[::1/", IPV6),
        ("https://[]/", IPV6),
        ("https://[v1.x]/", IPV6),
        ("https://[127.0.0.1]/", IPV6),
        ("https://[fe80::1%25eth0]/", "must have no zone in its IPv6 address"),
    ],
)
def test_an_unusable_callback_url_is_refused_by_a_rule(text: str, rule: str) -> None:
    with pytest.raises(UnusableUrl) as refused:
        parse_callback_url(text)

    assert str(refused.value) == rule


def test_a_callback_url_has_a_longest_length() -> None:
    longest = "https://example.com/".ljust(MAX_CALLBACK_URL, "a")

    assert parse_callback_url(longest).text == longest
    with pytest.raises(UnusableUrl, match="at most 2048 characters"):
        parse_callback_url(longest + "a")


def test_a_literal_address_is_known_as_one() -> None:
    literals = [
        parse_callback_url(f"https://{host}/").literal
        for host in ("10.0.0.1", "[::ffff:10.0.0.1]", "a.example")
    ]

    assert [str(int(literal)) if literal else None for literal in literals] == [
        str(10 * 2**24 + 1),
        str(0xFFFF * 2**32 + 10 * 2**24 + 1),
        None,
    ]


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    url = parse_callback_url("https://example.com/hooks/canary?token=canary")

    assert "canary" not in repr(url)


def parse(text: str) -> CallbackUrl | None:
    try:
        return parse_callback_url(text)
    except UnusableUrl:
        return None


@given(text=st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    url = parse(text)

    assert url is None or url.text == text


@given(
    scheme=st.sampled_from(["http", "https", "HTTPS"]),
    host=st.one_of(NAMES, LITERALS),
    port=st.one_of(st.just(""), st.integers(1, 65535).map(lambda number: f":{number}")),
    start=st.sampled_from(["/", "?"]),
    rest=TARGETS,
)
def test_the_clients_read_the_same_url_as_we_do(
    scheme: str, host: str, port: str, start: str, rest: str
) -> None:
    url = parse(f"{scheme}://{host}{port}{start}{rest}")

    if url is not None:
        sent = httpx.URL(url.origin + url.target)
        dialled = URL(url.origin + url.target, encoded=True)
        assert f"{sent.scheme}://{sent.netloc.decode()}" == url.origin
        assert (dialled.raw_host, dialled.port) == (url.host, url.port)
        assert dialled.raw_path_qs == url.target == start.replace("?", "/?") + rest


@given(host=NAMES, rest=TARGETS)
def test_a_plain_name_and_path_are_always_usable(host: str, rest: str) -> None:
    url = parse(f"https://{host}/{rest}x")

    assert url is not None
    assert url.host == host.lower()
    assert url.target == f"/{rest}x"


@pytest.mark.parametrize(
    ("text", "origin"),
    [("HTTPS://Example.com:443", "https://example.com"), ("http://[::1]:80/", "http://[::1]")],
)
def test_an_origin_is_read_as_its_callbacks_are(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("https://example.com/x", "must be scheme, host and port alone, without path or query"),
        ("https://example.com?a=b", "must be scheme, host and port alone, without path or query"),
        ("example.com", SCHEME),
    ],
)
def test_what_is_more_or_less_than_an_origin_is_refused(text: str, rule: str) -> None:
    with pytest.raises(UnusableUrl, match=f"^{rule}$"):
        parse_origin(text)
