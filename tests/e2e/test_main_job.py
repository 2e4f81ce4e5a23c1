"""Register, poll, deliver: the real command between the simulator and the verifying receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.demo.serving import official_sdk
from tests.e2e.neighbours import CAMB_KEY, Neighbours
from tests.e2e.processes import COMMAND, MODULE, environment, serving, sqlite_url

# Not marked e2e: `make test` shows the main job at the real command, too.
pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("command", [COMMAND, MODULE], ids=["relay", "python -m relay"])
async def test_a_registered_task_is_notified_once_with_what_camb_said(
    neighbours: Neighbours, tmp_path: Path, command: Sequence[str]
) -> None:
    task_id, callback = f"success-after-0.3-{tmp_path.name}", neighbours.hook("ok/main")
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path, (*command, "serve")) as relay:
        registration = await relay.register(task_id, callback, kind="tts", metadata={"order": 7})
        seen = await relay.reaches(registration, "delivered")
        arrival = await neighbours.arrival(registration)
        exit_code = await relay.terminate()

    task = await neighbours.task(task_id)
    assert task is not None
    assert arrival is not None
    assert arrival["webhook_id"] == seen["event"]["id"]
    assert arrival["path"] == "/hooks/ok/main"
    assert (arrival["arrivals"], arrival["accepted"]) == (1, 1)
    assert arrival["body"] == seen["event"]["body"]
    assert arrival["body"]["type"] == arrival["headers"]["relay-event-type"] == "task.succeeded"
    assert arrival["body"]["data"]["run_id"] == task["run_id"]
    assert arrival["body"]["data"]["metadata"] == {"order": 7}
    assert arrival["body"]["data"]["payload"] == {"status": "SUCCESS", "run_id": task["run_id"]}
    assert seen["delivery"]["attempts"] == 1
    assert seen["task"]["polls"] == task["polls"] > 1
    assert exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a notification says; `run_id` tells whether it has one."""

    type: str
    status: str | None
    run_id: bool = False


SUCCEEDED = Told(type="task.succeeded", status="SUCCESS", run_id=True)

ENDINGS = {
    "success": SUCCEEDED,
    "success-no-run-id": Told(type="task.succeeded", status="SUCCESS"),
    "lower-case": Told(type="task.succeeded", status="success", run_id=True),
    "reason-none": SUCCEEDED,
    "message-object": SUCCEEDED,
    "verbatim": SUCCEEDED,
    "nul": SUCCEEDED,
    "run-id-early": SUCCEEDED,
    "bare-string": Told(type="task.succeeded", status="SUCCESS"),
    "list": SUCCEEDED,
    "unknown-word": SUCCEEDED,
    "no-status": SUCCEEDED,
    "error": Told(type="task.failed", status="ERROR"),
    "failed": Told(type="task.failed", status="FAILED"),
    "timeout": Told(type="task.failed", status="TIMEOUT"),
    "payment-required": Told(type="task.failed", status="PAYMENT_REQUIRED"),
    "late-404": SUCCEEDED,
    "rate-limited": SUCCEEDED,
    "server-errors": SUCCEEDED,
    "html": SUCCEEDED,
    "empty": SUCCEEDED,
    "huge": SUCCEEDED,
    "invalid-utf8": SUCCEEDED,
    "nul-bytes": SUCCEEDED,
    "redirect": SUCCEEDED,
    "drip": SUCCEEDED,
    "hang": SUCCEEDED,
    "lost": Told(type="task.lost", status=None),
    "never": Told(type="registration.expired", status=None),
}


async def test_every_ending_is_notified_as_what_it_is(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(
        neighbours,
        sqlite_url(tmp_path),
        CAMB__DEADLINE="PT0.5S",
        POLLING__LOST_GRACE="PT0.5S",
        POLLING__LOST_ANSWERS="3",
    )
    wishes = [
        {
            "task_id": f"{name}-ending",
            "callback_url": neighbours.hook("ok"),
            "expires_in": 5 if name == "never" else 60,
        }
        for name in ENDINGS
    ]

    async with serving(environ, tmp_path) as relay:
        ids = await relay.register_all(wishes)
        await relay.all_closed()
        unknown_words = await relay.metric("relay_unknown_statuses_total")
        arrived = [await neighbours.arrival(id_) for id_ in ids]
        tasks = [await neighbours.task(f"{name}-ending") for name in ENDINGS]

    told = {}
    for name, arrival, task in zip(ENDINGS, arrived, tasks, strict=True):
        assert arrival is not None
        assert task is not None
        assert (arrival["arrivals"], arrival["accepted"]) == (1, 1)
        data = arrival["body"]["data"]
        assert data["run_id"] in {None, task["run_id"]}
        told[name] = Told(
            type=arrival["body"]["type"], status=data["status"], run_id=data["run_id"] is not None
        )
    assert told == ENDINGS
    assert unknown_words == 1


async def test_the_payload_is_cambs_own_bytes(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        registration = await relay.register("verbatim-bytes", neighbours.hook("ok"))
        await relay.reaches(registration, "delivered")
    query = {"relay-registration-id": registration}
    shown = (await neighbours.http.get(f"{neighbours.receiver_url}/state", params=query)).text

    assert '"cost":1.10, "cost":1.1000, "exact":12345678901234567890.0 }' in shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    state: str
    attempts: int
    dead_reason: str | None = None


DELIVERIES = {
    "ok": Ended(state="delivered", attempts=1),
    "fail-2": Ended(state="delivered", attempts=3),
    "busy-1": Ended(state="delivered", attempts=2),
    "hang-1": Ended(state="delivered", attempts=2),
    "slow-0.3": Ended(state="delivered", attempts=1),
    "drip": Ended(state="delivered", attempts=1),
    "flood": Ended(state="delivered", attempts=1),
    "fail": Ended(state="dead", attempts=4, dead_reason="exhausted"),
    "hang": Ended(state="dead", attempts=4, dead_reason="exhausted"),
    "redirect": Ended(state="dead", attempts=4, dead_reason="exhausted"),
    "gone": Ended(state="dead", attempts=1, dead_reason="gone"),
}


async def test_every_receiver_is_tried_until_it_accepts_or_the_schedule_ends(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path), DELIVERY__DEADLINE="PT1S")
    wishes = [
        {"task_id": f"success-delivery-{hook}", "callback_url": neighbours.hook(hook)} for hook in DELIVERIES
    ]

    async with serving(environ, tmp_path) as relay:
        ids = await relay.register_all(wishes)
        await relay.all_closed()
        closed = [await relay.read(id_) for id_ in ids]
        arrived = [await neighbours.arrival(id_) for id_ in ids]

    ended = {
        hook: Ended(
            state=each["state"],
            attempts=each["delivery"]["attempts"],
            dead_reason=each["delivery"]["dead_reason"],
        )
        for hook, each in zip(DELIVERIES, closed, strict=True)
    }
    assert ended == DELIVERIES
    assert [arrival and arrival["arrivals"] for arrival in arrived] == [
        each.attempts for each in DELIVERIES.values()
    ]
    assert not any(arrival and arrival["body_changed"] for arrival in arrived)


async def test_the_official_sdk_fetches_the_result_with_the_notified_run_id(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with (
        official_sdk(neighbours.simulator_url, api_key=CAMB_KEY) as sdk,
        serving(environ, tmp_path) as relay,
    ):
        submitted = await sdk.text_to_audio.create_text_to_audio(prompt="rain", audio_type="sound")
        assert submitted.task_id is not None
        registration = await relay.register(submitted.task_id, neighbours.hook("ok"))
        await relay.reaches(registration, "delivered")
        arrival = await neighbours.arrival(registration)
        assert arrival is not None
        run_id = arrival["body"]["data"]["run_id"]
        sound = b"".join([chunk async for chunk in sdk.text_to_audio.get_text_to_audio_result(run_id)])

    assert arrival["body"]["data"]["result_url"] == (
        f"{neighbours.simulator_url}/apis/text-to-sound-result/{run_id}"
    )
    assert sound.startswith(b"RIFF")
