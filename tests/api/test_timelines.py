from tests.relays import FAILING, HOOK, SUCCESS, RelayInHand


async def test_a_timeline_is_answered_as_a_list_of_steps(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    registration = await relay.register()

    answer = await relay.api.get(f"/v1/registrations/{registration}/timeline")

    assert answer.status_code == 200
    steps = answer.json()["data"]
    assert [(step["what"], step["planned"]) for step in steps] == [
        ("registered", False),
        ("polled", False),
        ("seen", False),
        ("queued", False),
        ("tried", False),
        ("next-try", True),
    ]
    assert steps[-1] == {
        "at": "2026-11-18T11:06:45.000Z",
        "what": "next-try",
        "planned": True,
        "detail": "attempt 2 is made by step 1 of 9 of the retry schedule, 5 s after the one before",
        "because": 4,
        "rule": "retry-schedule",
        "facts": {"attempt": 2, "round": 1},
    }


async def test_an_id_that_is_none_has_no_timeline(relay: RelayInHand) -> None:
    answer = await relay.api.get("/v1/registrations/reg_1/timeline")

    assert answer.status_code == 404
