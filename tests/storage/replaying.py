"""Replays on one migrated database, in the fewest words."""

from sqlalchemy import Connection, func, insert, select, text

from relay.domain.deliveries import Dead, DeadReason, Rejected
from relay.domain.ids import replay_id
from relay.domain.registrations import Registration, RegistrationState
from relay.domain.replays import Place, Replay, ReplayFilter, ReplayState
from relay.storage import replay_walk, replaying, replays, tables
from relay.storage.replaying import Step
from relay.storage.replays import Part
from tests.storage.store import HOOK, Store

GONE = Dead(reason=DeadReason.GONE)
DEAD = ReplayFilter(state=RegistrationState.DEAD)
DELIVERED = ReplayFilter(state=RegistrationState.DELIVERED)
ELSEWHERE = "https://elsewhere.example"


async def dead(store: Store, task_id: str, *, kind: str = "tts", origin: str = HOOK) -> Registration:
    return await store.dead(GONE, Rejected(http_status=410), store.wanted(task_id, kind=kind, origin=origin))


async def begun(store: Store, wanted: ReplayFilter = DEAD, client: str = "shop") -> Replay:
    replay = Replay(
        id=replay_id(store.now, next(store.numbers)),
        client=client,
        wanted=wanted,
        state=ReplayState.RUNNING,
        created_at=store.now,
    )
    assert await store.write(replays.add, replay) is None
    return replay


async def count_slice(store: Store, replay: Replay) -> Replay | None:
    counted = await store.database.read(
        replay_walk.count, replay.client, replay.wanted, replay.created_at, replay.counted or Place()
    )
    return await store.write(replay_walk.keep_count, replay, counted, store.now)


async def counted(store: Store, wanted: ReplayFilter = DEAD) -> Replay:
    replay = await begun(store, wanted)
    while replay.counted is not None:
        after = await count_slice(store, replay)
        assert after is not None
        replay = after
    return replay


async def step(store: Store, replay: Replay) -> Step | None:
    return await store.write(replaying.step, replay.id, store.now)


async def steps(store: Store, replay: Replay) -> int:
    """Step until there is nothing to do now."""
    replayed = 0
    while (done := await step(store, replay)) is not None:
        replayed += done.replayed
    return replayed


async def read(store: Store, replay: Replay) -> Replay:
    return (await store.database.read(replays.get, replay.client, replay.id)).replay


async def parts(store: Store, replay: Replay) -> dict[str, Part]:
    view = await store.database.read(replays.get, replay.client, replay.id)
    return {part.origin: part for part in view.parts}


async def states(store: Store, *wanted: Registration) -> list[RegistrationState]:
    return [(await store.view(registration)).state for registration in wanted]


async def accept_all(store: Store) -> int:
    """Every delivery that is due is accepted, whoever's lane it is."""
    return await store.write(
        lambda connection: (
            connection.execute(
                text("UPDATE deliveries SET next_at = NULL, ended_at = :now WHERE next_at <= :now"),
                {"now": store.now},
            ).rowcount
        )
    )


async def parts_are_held(store: Store, replay: Replay) -> bool:
    return any(part.hold is not None for part in (await parts(store, replay)).values())


def many(
    connection: Connection, rows: int, *, at: int, origin: str = HOOK, kind: str = "tts", client: str = "shop"
) -> None:
    """That many dead registrations, each of a task of its own, in the order of their ids."""
    names = [f"{kind} {origin} {number:06}" for number in range(rows)]
    known = connection.scalar(select(func.count()).select_from(tables.events)) or 0
    task: dict[str, object] = {
        "client": client,
        "kind": kind,
        "state": "succeeded",
        "fence": 0,
        "paced_from": 0,
        "polls": 1,
    }
    task |= {"not_found": 0, "not_found_before": 0}
    registration: dict[str, object] = {
        "client": client,
        "callback_url": origin,
        "origin": origin,
        "format": "standard",
    }
    registration |= {"metadata": b"{}", "created_at": at, "expires_at": at, "not_found_before": 0}
    registration |= {"state": "dead", "closed_at": at}
    event = {"client": client, "type": "task.succeeded", "created_at": at, "body": b"{}"}
    delivery = {"lane": f"{client} {origin}", "fence": 1, "round": 1, "attempts": 1, "failures": 1}
    for table, values in (
        (tables.tasks, [task | {"ref": name, "task_id": name} for name in names]),
        (tables.registrations, [registration | {"id": name, "task": name} for name in names]),
        (
            tables.events,
            [event | {"registration": name, "position": place} for place, name in enumerate(names, known)],
        ),
        (tables.deliveries, [delivery | {"registration": name, "ended_at": at} for name in names]),
    ):
        connection.execute(insert(table), values)
