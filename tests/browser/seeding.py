"""A shop's day on the relay: something in every state that a page can show."""

from dataclasses import dataclass

from tests.browser.relays import Running, until


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """Ids of registrations, and of a replay that waits for a paused origin and of one that is done."""

    watching: str
    available: str
    delivering: str
    delivered: str
    dead: str
    gone: str
    cancelled: str
    waiting_replay: str
    done_replay: str


def seed(relay: Running) -> Seeded:
    many = [relay.register(f"success-day-{number}", f"{relay.well}/ok/{number}") for number in range(60)]
    metadata = {"order": 7, "customer": "Zoë", "note": "<b>not bold</b>"}
    watching = relay.register("pending-forever", f"{relay.well}/ok?token=secret", metadata=metadata)
    cancelled = relay.register("pending-cancelled", f"{relay.well}/ok")
    assert relay.api.post(f"/v1/registrations/{cancelled}/cancel").status_code == 200
    delivered = relay.register("error-delivered", f"{relay.well}/fail-2/delivered", metadata=metadata)
    dead = [relay.register(f"success-dead-{number}", f"{relay.ill}/fail/{number}") for number in range(7)]
    gone = relay.register("success-gone", f"{relay.busy}/gone-1")
    relay.reaches(gone, "dead")
    delivering = relay.register("success-delivering", f"{relay.busy}/busy-3600")
    until(lambda: (relay.read(delivering)["delivery"] or {}).get("last_http_status") == 429)
    available = relay.reaches(relay.register("success-pulled", None), "available")
    for each in [*many, delivered]:
        relay.reaches(each, "delivered")
    for each in dead:
        relay.reaches(each, "dead")
    again = relay.register("success-again", f"{relay.ill}/fail-4/again", kind="tts")
    relay.reaches(again, "dead")
    done = relay.replay(kind="tts")
    relay.reaches(again, "delivered")
    until(lambda: relay.api.get(f"/v1/replays/{done}").json()["state"] == "done")
    return Seeded(
        watching=watching,
        available=available,
        delivering=delivering,
        delivered=delivered,
        dead=dead[0],
        gone=gone,
        cancelled=cancelled,
        waiting_replay=relay.replay(origin=relay.busy.removesuffix("/hooks")),
        done_replay=done,
    )
