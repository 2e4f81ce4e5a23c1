from relay.domain.instants import SECOND
from tests.storage.store import DEADLINE, SERVER_ERROR, Store


async def test_a_paused_key_whose_probe_died_with_its_process_is_tried_again_after_one_deadline(
    store: Store,
) -> None:
    for task_id in ("t-1", "t-2", "t-3"):
        await store.accept(store.wanted(task_id))
    first, *_ = (await store.claim_polls(store.poll_claim(quantum=1))).rows
    await store.record_polls(store.polled(first, SERVER_ERROR))
    store.time.advance(2 * SECOND)

    probes = (await store.claim_polls()).rows
    meanwhile = (await store.claim_polls()).rows
    store.time.advance(DEADLINE)
    again = (await store.claim_polls()).rows

    assert [len(rows) for rows in (probes, meanwhile, again)] == [1, 0, 1]
