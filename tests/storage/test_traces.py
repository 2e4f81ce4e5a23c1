from dataclasses import replace

from relay.domain.registrations import Registration
from relay.domain.traces import TraceContext, new_trace
from relay.storage import traces
from tests.storage.store import SUCCESS, Store


def traced(wanted: Registration, trace: int, *, flags: int = 1, state: str | None = None) -> Registration:
    context = new_trace(trace, trace, sampled=True)
    text = f"{context.traceparent[:-2]}{flags:02x}"
    return replace(wanted, trace=TraceContext(traceparent=text, tracestate=state))


def trace_ids(contexts: tuple[TraceContext, ...]) -> list[int]:
    return [int(context.trace_id, 16) for context in contexts]


async def test_the_oldest_who_watch_a_task_and_are_sampled_are_found_for_each_task(store: Store) -> None:
    await store.accept(store.wanted(hook="/untraced"))
    for number, flags in ((1, 0), (2, 1), (3, 2), (4, 3), (5, 1)):
        await store.accept(traced(store.wanted(hook=f"/{number}"), number, flags=flags))
    other = await store.accept(traced(store.wanted("t-2"), 9, state="vendor=1"))
    first = store.wanted().task

    found = await store.write(traces.watching, {first, other.task}, 2)

    assert {ref: trace_ids(contexts) for ref, contexts in found.items()} == {first: [2, 4], other.task: [9]}
    assert found[other.task] == (other.trace,)


async def test_who_does_not_watch_any_more_is_not_found(store: Store) -> None:
    cancelled = await store.accept(traced(store.wanted(hook="/a"), 1))
    await store.accept(store.wanted(hook="/b"))
    await store.cancel(cancelled.id)

    assert await store.write(traces.watching, {cancelled.task}, 2) == {}


async def test_a_claim_of_polls_tells_as_many_traces_as_it_asks_for(store: Store) -> None:
    for number in (1, 2, 3):
        await store.accept(traced(store.wanted(hook=f"/{number}"), number))

    (told,) = (await store.claim_polls(replace(store.poll_claim(), traces=2))).rows
    store.time.advance(60_000_000)
    (silent,) = (await store.claim_polls()).rows

    assert trace_ids(told.traces) == [1, 2]
    assert silent.traces == ()


async def test_a_claimed_delivery_knows_its_registration_s_trace(store: Store) -> None:
    registration = await store.accept(traced(store.wanted(), 1, state="vendor=1"))
    await store.answered(SUCCESS)

    (claimed,) = (await store.claim_deliveries()).rows

    assert claimed.trace == registration.trace
