from pathlib import Path

import pytest

from relay.console.sessions import LIFETIME
from relay.console.throttle import MOST_ADDRESSES, MOST_FAILURES, WITHIN, Throttle
from relay.domain.instants import SECOND, Instant
from tests.console.browsing import BASE, Browser, Page, browsing
from tests.console.conftest import OPERATOR_TOKEN
from tests.relays import (
    CAMB_KEY,
    OTHER_TOKEN,
    SIGNING_SECRET,
    TOKEN,
    RelayInHand,
    client_section,
    open_relay,
    settings_for,
    sqlite_url,
)


async def test_who_has_not_signed_in_is_asked_to_and_then_led_to_what_was_wanted(stranger: Browser) -> None:
    asked = await stranger.follow(await stranger.http.get("/ui/registrations?state=dead"))
    answer = await stranger.send(asked.form("/ui/sign-in"), token=TOKEN)

    assert asked.form("/ui/sign-in").fields["next"] == "/ui/registrations?state=dead"
    assert answer.headers["location"] == "/ui/registrations?state=dead"
    assert "Client default" in (await stranger.follow(answer)).text


async def test_a_clients_token_shows_its_own_part(stranger: Browser, relay: RelayInHand) -> None:
    registration = await relay.register("a-task-of-default")

    await stranger.sign_in(OTHER_TOKEN)

    assert "a-task-of-default" not in (await stranger.get("/ui/registrations")).text
    gone = await stranger.get(f"/ui/registrations/{registration}", 404)
    assert "There is no such registration" in gone.text
    theirs = await stranger.post(f"/ui/registrations/{registration}/cancel")
    assert theirs.status_code == 404
    assert (await relay.read(registration))["state"] == "watching"


async def test_the_cookie_is_the_browsers_alone_and_holds_no_token(stranger: Browser) -> None:
    answer = await stranger.sign_in()

    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("relay_session=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly",
        "samesite=strict",
        "path=/ui",
        f"max-age={12 * 60 * 60}",
    }
    assert TOKEN not in cookie


@pytest.mark.parametrize(
    ("base", "headers"), [(BASE, {"x-forwarded-proto": "https"}), (BASE.replace("http:", "https:"), {})]
)
async def test_over_tls_the_cookie_goes_over_tls_only(
    relay: RelayInHand, base: str, headers: dict[str, str]
) -> None:
    async with browsing(relay, base) as browser:
        answer = await browser.post("/ui/sign-in", {"token": TOKEN}, **headers)

    assert "secure" in answer.headers["set-cookie"].lower()


async def test_a_session_ends_after_twelve_hours(browser: Browser, relay: RelayInHand) -> None:
    relay.hands.advance(LIFETIME - 1)
    before = await browser.http.get("/ui")
    relay.hands.advance(2)
    after = await browser.http.get("/ui")

    assert (before.status_code, after.status_code) == (200, 303)


async def test_a_session_goes_with_its_token_and_holds_on_every_replica(
    browser: Browser, relay: RelayInHand, tmp_path: Path
) -> None:
    cookies = dict(browser.http.cookies)
    (tmp_path / "beside").mkdir()
    for token, status in ((TOKEN, 200), ("another-token-now", 303)):
        settings = settings_for(
            sqlite_url(tmp_path / "beside"), clients={"default": client_section(token, api_tokens=[token])}
        )
        async with open_relay(settings, hands=relay.hands) as replica, browsing(replica) as elsewhere:
            elsewhere.http.cookies.update(cookies)
            assert (await elsewhere.http.get("/ui")).status_code == status


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        "a.b.c",
        "{id}.{expiry}.",
        "{id}.{expiry}.00",
        "{id}.99999999999.{mac}",
        "{id}.-1.{mac}",
        "{id}..{mac}",
        "00000000000000000000000000000000.{expiry}.{mac}",
        "{id}.{expiry}.{mac}0",
        "{id}.²³.{mac}",
        "{id}.{expiry}.{mac}" + "0" * 300,
    ],
)
async def test_a_cookie_that_is_not_ours_is_none(stranger: Browser, forged: str) -> None:
    cookie = (await stranger.sign_in()).headers["set-cookie"].partition(";")[0].removeprefix("relay_session=")
    id_, expiry, mac = cookie.split(".")
    stranger.http.cookies.clear()

    headers = {b"cookie": b"relay_session=" + forged.format(id=id_, expiry=expiry, mac=mac).encode()}
    answer = await stranger.http.get("/ui", headers=headers)

    assert answer.status_code == 303


async def test_signing_out_takes_the_cookie_back(browser: Browser) -> None:
    page = await browser.get("/ui")

    await browser.send(page.form("/ui/sign-out"))

    assert not browser.http.cookies
    assert (await browser.http.get("/ui")).status_code == 303


async def test_a_token_that_is_not_known_is_refused_and_said_so(stranger: Browser) -> None:
    answer = await stranger.sign_in("not-a-token")

    assert answer.status_code == 401
    assert "This token is not known" in Page(answer).text
    assert "not-a-token" not in answer.text
    assert "set-cookie" not in answer.headers


async def test_after_ten_wrong_tokens_in_a_minute_an_address_is_not_heard_for_its_rest(
    stranger: Browser, relay: RelayInHand
) -> None:
    refused = [(await stranger.sign_in(f"wrong-{number}")).status_code for number in range(MOST_FAILURES)]
    relay.hands.advance(20)
    unheard = await stranger.sign_in()
    relay.hands.advance(40)
    heard = await stranger.sign_in()

    assert refused == [401] * 10
    assert (unheard.status_code, unheard.headers["retry-after"]) == (429, "40")
    assert "Try again in 40 s" in Page(unheard).text
    assert heard.status_code == 303


def test_each_address_fails_for_itself_and_a_household_of_ipv6_as_one() -> None:
    throttle, now = Throttle(), Instant(0)
    for _ in range(MOST_FAILURES):
        throttle.failed("192.0.2.1", now)
        throttle.failed("2001:db8::1", now)
        throttle.failed("::ffff:192.0.2.9", now)
        throttle.failed("a-socket", now)

    waits = {
        address: throttle.wait(address, Instant(now + WITHIN - 10 * SECOND))
        for address in (
            "192.0.2.1",
            "192.0.2.2",
            "2001:db8::2:3",
            "2001:db8:0:1::1",
            "::ffff:192.0.2.9",
            "::ffff:192.0.2.8",
            "a-socket",
        )
    }

    assert waits == {
        "192.0.2.1": 10,
        "192.0.2.2": 0,
        "2001:db8::2:3": 10,
        "2001:db8:0:1::1": 0,
        "::ffff:192.0.2.9": 10,
        "::ffff:192.0.2.8": 0,
        "a-socket": 10,
    }


def test_only_so_many_addresses_are_remembered_and_the_first_is_forgotten_first() -> None:
    throttle, now = Throttle(), Instant(0)
    for _ in range(MOST_FAILURES):
        throttle.failed("first", now)
    for number in range(MOST_ADDRESSES - 1):
        throttle.failed(f"other-{number}", now)

    before = throttle.wait("first", now)
    throttle.failed("one more", now)

    assert (before, throttle.wait("first", now)) == (60, 0)


@pytest.mark.parametrize(
    "path",
    [
        "https://elsewhere.test/",
        "//elsewhere.test/ui",
        "/ui//elsewhere.test\\",
        "/\\elsewhere.test",
        "/uix",
        "/v1/registrations",
        "/ui\n",
        "",
    ],
)
async def test_nobody_is_led_away_after_signing_in(stranger: Browser, path: str) -> None:
    answer = await stranger.post("/ui/sign-in", {"token": TOKEN, "next": path})

    assert answer.headers["location"] == "/ui"


async def test_who_has_signed_in_is_not_asked_again(browser: Browser) -> None:
    answer = await browser.http.get("/ui/sign-in?next=/ui/dead")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/dead")


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site", "origin": BASE}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": BASE}, True),
        ({"origin": "https://relay.test"}, True),
        ({"origin": "http://elsewhere.test"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
async def test_a_form_of_another_site_is_refused(
    browser: Browser, relay: RelayInHand, headers: dict[str, str], *, taken: bool
) -> None:
    registration = await relay.register()
    paths = (f"/ui/registrations/{registration}/cancel", "/ui/sign-out", "/ui/sign-in")

    statuses = [
        (await browser.http.post(path, data={"token": TOKEN}, headers=headers)).status_code for path in paths
    ]

    assert statuses == [303 if taken else 403] * 3
    assert (await relay.read(registration))["state"] == ("cancelled" if taken else "watching")


async def test_a_link_from_another_site_finds_who_has_signed_in(stranger: Browser) -> None:
    page = await stranger.get("/ui/registrations?state=dead", 200, headers={"sec-fetch-site": "cross-site"})

    assert ("content", "0; url=/ui/registrations?state=dead") in page.attributes


async def test_a_page_left_open_is_loaded_anew_once_its_session_is_over(stranger: Browser) -> None:
    answer = await stranger.http.get("/ui/registrations", headers={"relay-live": "0123456789abcdef"})

    assert (answer.status_code, answer.headers["hx-refresh"]) == (401, "true")


@pytest.fixture
def open_house(tmp_path: Path) -> str:
    return sqlite_url(tmp_path)


TOKENLESS = {"camb_api_key": CAMB_KEY, "signing_secrets": [SIGNING_SECRET]}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("relay.localhost", 200),
        ("rebound.example.com", 303),
        ("127.0.0.1.example.com", 303),
        ("[", 303),
        ("", 303),
    ],
)
async def test_where_the_only_client_has_no_token_nobody_signs_in_but_whoever_was_led_there_by_a_name(
    open_house: str, host: str, status: int
) -> None:
    settings = settings_for(open_house, clients={"default": TOKENLESS})
    async with open_relay(settings) as relay, browsing(relay) as browser:
        answer = await browser.http.get("/ui", headers={"host": host})

    assert answer.status_code == status
    if status == 200:
        assert "Client default" in Page(answer).text
        assert "Sign out" not in Page(answer).text


async def test_where_one_of_several_clients_has_no_token_the_others_may_sign_in(open_house: str) -> None:
    clients = {"default": TOKENLESS, "other": client_section(OTHER_TOKEN)}
    async with (
        open_relay(settings_for(open_house, clients=clients)) as relay,
        browsing(relay, "http://127.0.0.1") as browser,
    ):
        before = await browser.get("/ui")
        await browser.sign_in(OTHER_TOKEN)
        after = await browser.get("/ui")

    assert "Client default" in before.text
    assert "Client other" in after.text


async def test_an_operator_looks_at_every_client_and_the_choice_goes_along(
    operator: Browser, relay: RelayInHand
) -> None:
    await relay.register("a-task-of-default")
    first = await operator.get("/ui/registrations")
    other = await operator.get("/ui/registrations?client=other")
    unknown = await operator.get("/ui?client=nobody", 404)

    assert "a-task-of-default" in first.text
    assert "a-task-of-default" not in other.text
    assert other.links["Dead"] == "/ui/dead?client=other"
    assert other.form("/ui/registrations").fields["client"] == "other"
    assert "There is no such client" in unknown.text


async def test_an_operator_changes_nothing(operator: Browser, relay: RelayInHand) -> None:
    registration = await relay.register()
    before = await relay.stored()
    pages = [
        await operator.get(path)
        for path in ("/ui", "/ui/try", "/ui/dead", "/ui/replay?count=1", f"/ui/registrations/{registration}")
    ]

    answers = [
        await operator.post(path, {"task_id": "t", "callback_url": "https://hooks.test/in"})
        for path in (
            "/ui/registrations",
            f"/ui/registrations/{registration}/cancel",
            f"/ui/registrations/{registration}/redeliver",
            "/ui/replays",
            f"/ui/replays/rpl_{'0' * 32}/pause",
            "/ui/try/test",
            "/ui/try/verify",
        )
    ]

    assert [answer.status_code for answer in answers] == [403] * 7
    assert "change nothing" in Page(answers[0]).text
    assert await relay.stored() == before
    forms = [form for page in pages for form in page.forms if form.method == "post" and not form.disabled]
    assert {form.action for form in forms} == {"/ui/sign-out"}


async def test_an_operator_is_signed_in_by_the_operators_token_alone(stranger: Browser) -> None:
    await stranger.sign_in(OPERATOR_TOKEN)

    assert "Operator: you see everything" in (await stranger.get("/ui")).text


async def test_a_console_that_is_switched_off_is_not_there(tmp_path: Path) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path), console={"enabled": False})) as relay:
        answers = [await relay.api.get(path) for path in ("/ui", "/ui/sign-in", "/ui/static/x/console.css")]

    assert [answer.status_code for answer in answers] == [404] * 3
