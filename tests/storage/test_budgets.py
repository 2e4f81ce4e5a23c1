"""What a poll claim may take: tokens and slots of CAMB keys, pauses, and turns between clients."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import pytest
from sqlalchemy import Connection

from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import Budget, LaneName, key_lane
from relay.domain.tasks import PollAnswer, PollResult, UpstreamError
from relay.storage import lanes, polls
from relay.storage.look import Look
from relay.storage.polls import ClaimedPoll, KeyRoom, PollClaim
from relay.storage.queue import Claim
from tests.storage.interleaving import overlapping
from tests.storage.store import (
    BASE_URL,
    DEADLINE,
    LANE,
    NOT_FOUND,
    PENDING,
    SERVER_ERROR,
    SUCCESS,
    UNREACHABLE,
    Store,
)

TEN = Budget(rate=10, burst=10)
OTHER = key_lane(BASE_URL, "other key")
SHOP, BANK = LaneName("shop"), LaneName("bank")
TWO_CLIENTS_OF_ONE_KEY = {name: KeyRoom(lane=LANE, slots=100) for name in ("shop", "bank")}
UNAUTHORIZED = UpstreamError(result=PollResult.UNAUTHORIZED, http_status=401)
TIMEOUT = UpstreamError(result=PollResult.TIMEOUT)


def too_many(retry_after: int | None = None) -> UpstreamError:
    asked = None if retry_after is None else Span(retry_after)
    return UpstreamError(result=PollResult.RATE_LIMITED, http_status=429, retry_after=asked)


async def tasks(store: Store, count: int, *, client: str = "shop") -> None:
    await store.register(*(store.wanted(f"t-{number}", client=client) for number in range(count)))


async def taken(store: Store, wanted: PollClaim) -> dict[str, int]:
    """How many rows of each client one claim took."""
    rows = (await store.claim_polls(wanted)).rows
    return {
        client: sum(row.client == client for row in rows) for client in sorted({row.client for row in rows})
    }


async def test_a_claim_takes_no_more_than_the_key_has_tokens(store: Store) -> None:
    await tasks(store, 30)
    wanted = partial(store.poll_claim, budget=TEN)

    counts = [await taken(store, wanted()), await taken(store, wanted())]
    store.time.advance(100 * MILLISECOND)
    counts.append(await taken(store, wanted()))
    store.time.advance(HOUR)
    counts.append(await taken(store, store.poll_claim(budget=TEN, quantum=5)))

    assert counts == [{"shop": 10}, {}, {"shop": 1}, {"shop": 5}]


async def test_tokens_are_spent_only_for_what_was_there_to_take(store: Store) -> None:
    await tasks(store, 3)
    await taken(store, store.poll_claim(budget=TEN))
    await store.register(*(store.wanted(f"more-{number}") for number in range(20)))

    assert await taken(store, store.poll_claim(budget=TEN)) == {"shop": 7}


async def test_two_claims_at_once_share_one_budget(store: Store) -> None:
    await tasks(store, 30)

    def claim(connection: Connection) -> Claim[ClaimedPoll]:
        return polls.claim(connection, store.poll_claim(budget=TEN, free=7), Look())

    one, two = await overlapping(store, claim, claim)

    assert sorted((len(one.rows), len(two.rows))) == [3, 7]


@pytest.mark.parametrize("claimers", [1, 4])
async def test_any_number_of_processes_on_postgres_stay_within_one_rate(
    postgres: Store, claimers: int
) -> None:
    await tasks(postgres, 60)
    counted = []
    async with AsyncExitStack() as processes:
        stores = [await processes.enter_async_context(postgres.another_process()) for _ in range(claimers)]
        for _ in range(20):
            claims = await asyncio.gather(
                *(store.claim_polls(store.poll_claim(budget=TEN)) for store in stores)
            )
            counted.append(sum(len(claim.rows) for claim in claims))
            postgres.time.advance(100 * MILLISECOND)

    assert counted == [10, *[1] * 19]


async def test_clients_on_one_key_share_its_budget(store: Store) -> None:
    await tasks(store, 8)
    await tasks(store, 8, client="bank")

    counts = await taken(store, store.poll_claim(keys=TWO_CLIENTS_OF_ONE_KEY, budget=TEN, quantum=6))

    assert sum(counts.values()) == 10
    assert set(counts) == {"shop", "bank"}


async def test_clients_on_keys_of_their_own_have_budgets_of_their_own(store: Store) -> None:
    await tasks(store, 12)
    await tasks(store, 12, client="bank")
    keys = {"shop": KeyRoom(lane=LANE, slots=100), "bank": KeyRoom(lane=OTHER, slots=100)}

    assert await taken(store, store.poll_claim(keys=keys, budget=TEN)) == {"bank": 10, "shop": 10}


async def test_a_new_key_moves_no_row(store: Store) -> None:
    await tasks(store, 12)
    await taken(store, store.poll_claim(budget=TEN))

    counts = await taken(store, store.poll_claim(keys={"shop": KeyRoom(lane=OTHER, slots=100)}, budget=TEN))

    assert counts == {"shop": 2}


async def test_a_claim_takes_no_more_than_the_key_has_slots_here(store: Store) -> None:
    await tasks(store, 12)

    assert await taken(store, store.poll_claim(keys={"shop": KeyRoom(lane=LANE, slots=3)})) == {"shop": 3}
    assert await taken(store, store.poll_claim(keys={"shop": KeyRoom(lane=LANE, slots=0)})) == {}


async def test_a_claim_takes_no_more_than_is_free_in_this_process(store: Store) -> None:
    await tasks(store, 12)
    await tasks(store, 12, client="bank")

    counts = await taken(store, store.poll_claim(keys=TWO_CLIENTS_OF_ONE_KEY, free=15, quantum=10))

    assert sum(counts.values()) == 15


async def test_lanes_take_turns_by_the_quantum(store: Store) -> None:
    await tasks(store, 100)
    await tasks(store, 4, client="bank")
    last, order = None, []
    for _ in range(4):
        claim = await store.claim_polls(
            store.poll_claim(keys=TWO_CLIENTS_OF_ONE_KEY, free=2, quantum=2, last=last)
        )
        order.append({row.client for row in claim.rows})
        last = claim.last

    assert order == [{"bank"}, {"shop"}, {"bank"}, {"shop"}]


async def test_a_claim_says_whether_more_is_due(store: Store) -> None:
    await tasks(store, 5)

    claims = [await store.claim_polls(store.poll_claim(quantum=3)) for _ in range(3)]

    assert [(len(claim.rows), claim.more) for claim in claims] == [(3, True), (2, False), (0, False)]


async def test_work_of_a_client_that_is_not_configured_is_held_and_kept(store: Store) -> None:
    await tasks(store, 2, client="gone")

    held = await store.claim_polls()
    store.time.advance(DAY)
    back = await taken(store, store.poll_claim(keys={"gone": KeyRoom(lane=LANE, slots=100)}))

    assert not held.rows
    assert back == {"gone": 2}


async def test_a_claim_where_nothing_is_due_keeps_its_turn(store: Store) -> None:
    claim = await store.claim_polls(store.poll_claim(last=BANK))

    assert (claim.rows, claim.more, claim.last) == ((), False, BANK)


async def pause_after(store: Store, answer: PollAnswer) -> int:
    """How long no task of the key is claimed, in microseconds, once `answer` came."""
    await tasks(store, 2)
    rows = (await store.claim_polls(store.poll_claim(free=1))).rows
    await store.record_polls(store.polled(rows[0], answer, again_in=HOUR))
    (found,) = await store.rows("SELECT paused_until FROM lanes")
    (until,) = found
    assert isinstance(until, int)
    return max(0, until - store.now)


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (too_many(), SECOND),
        (too_many(7 * SECOND), 7 * SECOND),
        (too_many(30 * DAY), DAY),
        (SERVER_ERROR, SECOND),
        (UNREACHABLE, SECOND),
        (UNAUTHORIZED, MINUTE),
        (TIMEOUT, 0),
        (NOT_FOUND, 0),
        (PENDING, 0),
        (SUCCESS, 0),
    ],
    ids=[
        "429",
        "429 with Retry-After",
        "429 for a month",
        "500",
        "unreachable",
        "401",
        "timeout",
        "404",
        "ok",
        "end",
    ],
)
async def test_a_key_pauses_for_trouble_with_the_key_or_the_server(
    store: Store, answer: PollAnswer, pause: int
) -> None:
    paused = await pause_after(store, answer)
    during = (await store.claim_polls()).rows
    store.time.advance(pause)

    assert paused == pause
    assert bool(during) is (pause == 0)
    assert bool(during or (await store.claim_polls()).rows)


async def probe(store: Store) -> ClaimedPoll:
    (row,) = (await store.claim_polls()).rows
    return row


async def test_a_paused_key_is_tried_with_one_probe_and_its_answer_opens_the_key(store: Store) -> None:
    await tasks(store, 6)
    first = (await store.claim_polls(store.poll_claim(free=1))).rows[0]
    await store.record_polls(store.polled(first, SERVER_ERROR, again_in=HOUR))
    store.time.advance(SECOND)

    one = await probe(store)
    held = (await store.claim_polls()).rows
    await store.record_polls(store.polled(one, PENDING, again_in=HOUR))
    opened = (await store.claim_polls()).rows

    assert (first.probe, one.probe) == (False, True)
    assert not held
    assert len(opened) == 4
    assert not any(row.probe for row in opened)


async def test_pauses_double_while_probes_fail(store: Store) -> None:
    await tasks(store, 8)
    pauses = []
    for _ in range(4):
        one = (await store.claim_polls(store.poll_claim(free=1))).rows[0]
        await store.record_polls(store.polled(one, SERVER_ERROR, again_in=HOUR))
        until = (await store.database.read(lanes.paused, store.now))[LANE]
        pauses.append((until - store.now) // SECOND)
        store.time.advance(until - store.now)

    assert pauses == [1, 2, 4, 8]


async def test_a_probe_that_never_answers_gives_the_key_free_at_its_deadline(store: Store) -> None:
    await tasks(store, 3)
    first = (await store.claim_polls(store.poll_claim(free=1))).rows[0]
    await store.record_polls(store.polled(first, SERVER_ERROR, again_in=HOUR))
    store.time.advance(SECOND)
    await probe(store)
    store.time.advance(DEADLINE - 1)
    early = (await store.claim_polls()).rows
    store.time.advance(1)

    assert not early
    assert (await probe(store)).probe


async def test_failures_of_one_wave_are_one_pause(store: Store) -> None:
    await tasks(store, 8)
    wave = (await store.claim_polls()).rows

    await store.record_polls(
        *(
            store.polled(row, SERVER_ERROR, begun_at=Instant(store.now - SECOND), again_in=HOUR)
            for row in wave
        )
    )

    assert await store.database.read(lanes.paused, store.now) == {LANE: store.now + SECOND}


async def test_a_pause_of_one_key_leaves_the_others(store: Store) -> None:
    await tasks(store, 2)
    await tasks(store, 2, client="bank")
    keys = {"shop": KeyRoom(lane=LANE, slots=100), "bank": KeyRoom(lane=OTHER, slots=100)}
    rows = (await store.claim_polls(store.poll_claim(keys=keys, quantum=1))).rows
    shop = next(row for row in rows if row.client == "shop")

    await store.record_polls(store.polled(shop, too_many(HOUR)))

    assert await taken(store, store.poll_claim(keys=keys)) == {"bank": 1}
