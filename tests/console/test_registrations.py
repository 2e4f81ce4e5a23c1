import httpx
import pytest

from relay.domain.instants import DAY, SECOND
from tests.console.browsing import Browser, Page
from tests.relays import FAILING, HOOK, OK, PENDING, SUCCESS, Held, RelayInHand


async def dead(relay: RelayInHand, task: str = "task-dead", url: str = HOOK) -> str:
    relay.world.task(task, SUCCESS)
    relay.world.hook(url, FAILING)
    registration = await relay.register(task, url)
    await relay.tick()
    while (await relay.read(registration))["state"] != "dead":
        await relay.pass_to_next("deliveries")
    return registration


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"alpha", "beta", "gamma"}),
        ("q=alpha", {"alpha"}),
        ("q=%20alpha%20", {"alpha"}),
        ("q=alph", set()),
        ("q=https://hooks.test/another/path", {"alpha", "gamma"}),
        ("q=HTTPS://OTHER.test", {"beta"}),
        ("state=watching", {"beta", "gamma"}),
        ("state=delivered", {"alpha"}),
        ("kind=tts", {"gamma"}),
        ("state=watching&kind=tts&q=https://hooks.test", {"gamma"}),
        ("within=1h", {"alpha", "beta", "gamma"}),
        ("within=never", {"alpha", "beta", "gamma"}),
        ("state=dead&dead_reason=gone", set()),
    ],
)
async def test_registrations_are_found_by_what_people_have_at_hand(
    browser: Browser, relay: RelayInHand, query: str, shown: set[str]
) -> None:
    relay.world.task("alpha", SUCCESS)
    await relay.register("alpha")
    await relay.tick()
    await relay.register("beta", "https://other.test/hook")
    await relay.register("gamma", kind="tts")

    page = await browser.get(f"/ui/registrations?{query}")

    assert {"alpha", "beta", "gamma"} & page.links.keys() == shown


async def test_what_was_registered_before_the_time_asked_for_is_not_shown(
    browser: Browser, relay: RelayInHand
) -> None:
    await relay.register("alpha")
    relay.hands.advance(3_601)

    within_hour = await browser.get("/ui/registrations?within=1h")
    within_day = await browser.get("/ui/registrations?within=1d")

    assert "alpha" not in within_hour.links
    assert "alpha" in within_day.links


async def test_an_id_leads_straight_to_its_registration(browser: Browser, relay: RelayInHand) -> None:
    registration = await relay.register("alpha")

    for text in (registration, registration.replace("reg_", "evt_")):
        answer = await browser.http.get("/ui/registrations", params={"q": text})

        assert answer.headers["location"] == f"/ui/registrations/{registration}"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=gone", "state"),
        ("kind=x", "kind"),
        ("cursor=x", "cursor"),
        ("q=ftp://x", "a callback URL must"),
        ("q=" + "x" * 300, "task_id"),
        ("q=%00", "must hold no control characters"),
    ],
)
async def test_what_cannot_be_searched_for_is_said(browser: Browser, query: str, words: str) -> None:
    page = await browser.get(f"/ui/registrations?{query}", 422)

    assert "This cannot be searched for" in page.text
    assert words in page.text


async def test_a_long_list_goes_on_on_another_page(browser: Browser, relay: RelayInHand) -> None:
    items = [{"task_id": f"task-{number:02}", "callback_url": HOOK, "kind": "tts"} for number in range(51)]
    await relay.api.post("/v1/registrations/batch", json={"registrations": items})

    first = await browser.get("/ui/registrations?kind=tts")
    second = await browser.get(first.links["Older"])

    shown = [{name for name in page.links if name.startswith("task-")} for page in (first, second)]
    assert [len(names) for names in shown] == [50, 1]
    assert len(shown[0] | shown[1]) == 51
    assert "Older" not in second.links
    assert second.links["Newest"] == "/ui/registrations?kind=tts"


async def test_an_empty_list_teaches(browser: Browser, operator: Browser) -> None:
    page = await browser.get("/ui/registrations")
    narrowed = await browser.get("/ui/registrations?state=dead")

    assert "Nothing is registered yet" in page.text
    assert "/v1/registrations" in page.text
    assert page.links["Or do it here"] == "/ui/try"
    assert "Or do it here" not in (await operator.get("/ui/registrations")).links
    assert "Nothing is like that" in narrowed.text
    assert narrowed.links["Show all"] == "/ui/registrations"


async def test_a_callbacks_query_is_shown_nowhere(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("alpha", SUCCESS)
    registration = await relay.register("alpha", f"{HOOK}?token=canary")
    await relay.tick()

    for path in (
        "",
        "/registrations",
        f"/registrations/{registration}",
        f"/registrations/{registration}/curl",
    ):
        assert "canary" not in (await browser.get(f"/ui{path}")).answer.text


async def test_what_waits_for_camb_says_when_it_is_asked_again(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("alpha", PENDING)
    registration = await relay.register("alpha")
    before = await browser.get(f"/ui/registrations/{registration}")
    await relay.tick()
    page = await browser.get(f"/ui/registrations/{registration}")

    assert "Waiting for CAMB" in before.text
    assert "Waiting for CAMB Watching How it stands CAMB was asked about the task 1 time" in page.text
    assert "What comes next in 2 s" in page.text
    assert "What you can do" not in page.text


@pytest.mark.parametrize(
    ("answer", "title", "advice"),
    [
        (httpx.Response(401), "CAMB refuses the key", "right CAMB key"),
        (httpx.Response(404), "CAMB does not know the task", "the task's id and its kind"),
        (httpx.Response(503), "CAMB is failing", "asked again by itself"),
        (httpx.Response(429), "CAMB wants fewer requests", "left alone"),
        (httpx.ConnectError("refused"), "CAMB cannot be reached", "asked again by itself"),
        (httpx.ReadTimeout("late"), "CAMB does not answer", "asked again by itself"),
    ],
)
async def test_what_is_wrong_with_camb_is_the_first_thing_said(
    browser: Browser, relay: RelayInHand, answer: httpx.Response | Exception, title: str, advice: str
) -> None:
    relay.world.task("alpha", answer)
    registration = await relay.register("alpha")
    await relay.tick()

    page = await browser.get(f"/ui/registrations/{registration}")

    assert title in page.text
    assert advice in page.text.partition("What you can do")[2]


async def test_what_is_not_accepted_says_since_when_and_when_it_is_tried_again(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.task("alpha", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    registration = await relay.register("alpha")
    await relay.tick()

    page = await browser.get(f"/ui/registrations/{registration}")

    assert "Not accepted yet Delivering How it stands Attempt 1 was answered 500" in page.text
    assert "What comes next in 5 s" in page.text
    assert "The fault is the receiver's own" in page.text
    assert "the callback is broken" in page.text
    assert "Cancel the registration" in page.text
    assert "Send it again" not in page.text


async def test_what_its_origin_holds_back_says_so(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("alpha", SUCCESS)
    relay.world.task("beta", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(429, headers={"retry-after": "600"}))
    await relay.register("alpha")
    await relay.tick()
    registration = await relay.register("beta")
    await relay.tick()

    page = await browser.get(f"/ui/registrations/{registration}")

    assert "Held back: its origin is in trouble" in page.text
    assert "What comes next in 10 min" in page.text


async def test_what_is_just_being_sent_is_calm(browser: Browser, relay: RelayInHand) -> None:
    held = Held(OK)
    relay.world.task("alpha", SUCCESS)
    relay.world.hook(HOOK, held)
    answer = await relay.api.post("/v1/registrations", json={"task_id": "alpha", "callback_url": HOOK})
    await held.asked.wait()

    page = await browser.get(f"/ui/registrations/{answer.json()['id']}")
    held.go.set()
    await relay.settle()

    assert "Being delivered Delivering" in page.text
    assert "Attempt 1 is under way" in page.text
    assert "What you can do" not in page.text


async def test_what_is_dead_can_be_sent_again_and_says_what_to_mend_first(
    browser: Browser, relay: RelayInHand
) -> None:
    registration = await dead(relay)
    await browser.sign_in()  # a day has passed
    page = await browser.get(f"/ui/registrations/{registration}")
    row = await browser.get("/ui/registrations?state=dead")

    after = await browser.follow(await browser.send(page.form(f"/ui/registrations/{registration}/redeliver")))

    assert "Dead: the relay has given up" in page.text
    assert "Then send it again." in page.text
    assert "answered 500 exhausted after 10 attempts" in row.text
    assert "It is sent again" in after.text
    assert (await relay.read(registration))["state"] == "delivering"


async def test_what_is_delivered_and_what_is_cancelled_say_that_nothing_more_comes(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.task("alpha", SUCCESS)
    delivered = await relay.register("alpha")
    await relay.tick()
    watched = await relay.register("beta")
    page = await browser.get(f"/ui/registrations/{watched}")
    cancelled = await browser.follow(await browser.send(page.form(f"/ui/registrations/{watched}/cancel")))

    shown = await browser.get(f"/ui/registrations/{delivered}")

    assert "Nothing more: this is its end" in shown.text
    assert "204, without a body" in shown.text
    assert "Send it again" in shown.text
    assert "Cancelled. An attempt under way may still arrive." in cancelled.text
    assert "None were made." in cancelled.text
    assert (await relay.read(watched))["state"] == "cancelled"


async def test_what_its_state_does_not_allow_is_refused_with_what_to_do(
    browser: Browser, relay: RelayInHand
) -> None:
    registration = await relay.register("alpha")
    before = await relay.stored()

    answer = await browser.post(f"/ui/registrations/{registration}/redeliver")

    assert answer.status_code == 409
    assert "A registration that is watching cannot be redelivered." in Page(answer).text
    assert await relay.stored() == before


async def test_every_attempt_shows_what_was_sent_and_the_beginning_of_the_answer(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.task("alpha", SUCCESS)
    relay.world.hook(HOOK, FAILING, httpx.ConnectError("refused"), OK)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    relay.api.headers["traceparent"] = trace
    registration = await relay.register("alpha", metadata={"order": {"number": 7}})
    for _ in range(2):
        await relay.pass_time(301)

    page = await browser.get(f"/ui/registrations/{registration}")

    sent = page.text.partition(" Attempts ")[2]
    assert [sent.index(word) for word in ("3 Accepted", "2 No connection", "1 Rejected")] == sorted(
        sent.index(word) for word in ("3 Accepted", "2 No connection", "1 Rejected")
    )
    assert f"webhook-id: evt_{registration.removeprefix('reg_')}" in sent
    assert f"webhook-timestamp: {relay.hands.clock.now() // SECOND}" in sent
    assert "webhook-signature: v1,… relay-event-type: task.succeeded relay-attempt: 3" in sent
    assert "traceparent: 00-0af7651916cd43dd8448eb211c80319c-•••" in sent
    assert "Nothing came back: connect: refused." in sent
    assert '"order": { "number": 7 }' in page.text


async def test_a_registration_whose_day_is_another_shows_the_day(
    browser: Browser, relay: RelayInHand
) -> None:
    registration = await relay.register("alpha", expires_in=DAY * 3 // SECOND)

    page = await browser.get(f"/ui/registrations/{registration}")

    assert "Expires 2026-11-21 11:06:40 · in 72 h" in page.text


async def test_curl_sends_what_the_next_attempt_would_and_its_signature_verifies(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.task("alpha", PENDING, SUCCESS)
    sent = relay.world.hook(HOOK, FAILING)
    registration = await relay.register("alpha", metadata={"name": 'it\'s "quoted"'})
    before = await browser.get(f"/ui/registrations/{registration}/curl")
    await relay.pass_time(10)

    page = await browser.get(f"/ui/registrations/{registration}/curl", headers={"x-forwarded-proto": "https"})

    assert "There is none before the task has ended" in before.text
    assert sent.requests[0].headers["webhook-signature"] in page.text
    assert f"https://relay.test/v1/registrations/{registration}/redeliver" in page.text
    assert '-H "authorization: Bearer $RELAY_TOKEN"' in page.text


async def test_curl_gives_no_signature_to_an_operator_and_no_endless_command(
    browser: Browser, operator: Browser, relay: RelayInHand
) -> None:
    relay.world.task("alpha", httpx.Response(200, json={"status": "SUCCESS", "run_id": 7, "x": "y" * 40_000}))
    registration = await relay.register("alpha")
    await relay.tick()

    long = await browser.get(f"/ui/registrations/{registration}/curl")
    shown = await operator.get(f"/ui/registrations/{registration}/curl")

    assert "too long for a command" in long.text
    assert "Only the client itself is shown it" in shown.text
    assert "webhook-signature" not in long.text + shown.text


async def test_what_is_pulled_says_where_and_has_no_attempts(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("alpha", PENDING, SUCCESS)
    answer = await relay.api.post("/v1/registrations", json={"task_id": "alpha"})
    registration = answer.json()["id"]
    await relay.settle()
    waiting = await browser.get(f"/ui/registrations/{registration}")
    await relay.pass_time(10)

    page = await browser.get(f"/ui/registrations/{registration}")
    row = await browser.get("/ui/registrations?state=available")

    assert "Waiting for CAMB" in waiting.text
    assert "Available Available How it stands" in page.text
    assert "by GET /v1/events or its stream" in page.text
    assert "None: the event is pulled, and not sent." in page.text
    assert "Callback none: it is pulled from the event stream" in page.text
    assert "Send it again" not in page.text
    assert "pulled, not sent" in row.text
