from dataclasses import dataclass, replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.errors import BrokenRule
from relay.domain.instants import MINUTE, Instant, Span
from relay.domain.registrations import EventType, Format
from relay.domain.tasks import Poll, PollAnswer, PollResult, TaskReport, TaskState
from relay.domain.watching import (
    LostRule,
    Task,
    Verdict,
    Watcher,
    conclusive,
    ended,
    expired,
    may_decide,
    not_found_hint,
    verdict,
)
from tests.domain.samples import (
    FAILED,
    NOT_FOUND,
    PENDING,
    REGISTRATION,
    SUCCESS,
    TASK,
    TROUBLES,
    at,
    poll,
    report,
    trouble,
)

BASE = "https://client.camb.ai/apis"
LOST = LostRule(answers=3, grace=Span(10 * MINUTE))
NEXT = at(1_000)
SAYS_NOTHING = sorted(TROUBLES.keys() - {PollResult.NOT_FOUND})
UNKNOWN = report(b'{"status":"PROCESSING"}')
NO_STATUS = report(b'{"run_id":5}')
GOING_ON = [PENDING, UNKNOWN, NO_STATUS]


def watcher(*, created: float = 0, expires: float = 86_400, not_found_before: int = 0) -> Watcher:
    registration = replace(REGISTRATION, created_at=at(created), expires_at=at(expires))
    return Watcher(registration=registration, not_found_before=not_found_before)


def judged(task: Task, made: Poll, waiting: Watcher, last_payload: bytes | None = None) -> EventType | None:
    """What `made` decides on the registration, once the task is as the poll left it."""
    reached = verdict(
        task.polled(made, NEXT), made, waiting, lost=LOST, base_url=BASE, last_payload=last_payload
    )
    return None if reached is None else reached.type


@pytest.mark.parametrize("answer", [*GOING_ON, *(trouble(result) for result in TROUBLES)], ids=str)
def test_a_poll_that_ends_nothing_is_counted_and_the_task_is_due_again(answer: PollAnswer) -> None:
    after = TASK.polled(poll(answer, 5, 6), NEXT)

    assert (after.state, after.next_at, after.leased_until) == (TaskState.WATCHING, NEXT, None)
    assert (after.polls, after.last_poll_at, after.first_terminal_at) == (1, at(6), None)
    assert (after.last_poll_result, after.last_poll_http_status) == (answer.result, answer.http_status)
    assert after.fence == TASK.fence


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (SUCCESS, TaskState.SUCCEEDED),
        (report(b'"success"'), TaskState.SUCCEEDED),
        (FAILED, TaskState.FAILED),
        (report(b'["TIMEOUT"]'), TaskState.FAILED),
    ],
)
def test_a_terminal_answer_ends_the_task_when_it_arrives(answer: TaskReport, state: TaskState) -> None:
    after = replace(TASK, verdict_from=at(90)).polled(poll(answer, 5, 6), NEXT)

    assert (after.state, after.next_at, after.leased_until, after.verdict_from) == (state, None, None, None)
    assert (after.first_terminal_at, after.last_poll_result) == (at(6), PollResult.TERMINAL)


@pytest.mark.parametrize("answer", GOING_ON, ids=str)
def test_the_window_is_from_the_start_of_the_last_poll_not_terminal_to_the_arrival_of_the_end(
    answer: TaskReport,
) -> None:
    task = TASK.polled(poll(PENDING, 1, 2), NEXT).polled(poll(answer, 5, 6), NEXT)

    window = task.polled(poll(SUCCESS, 9, 11), NEXT).window

    assert (window.last_seen_pending_at, window.first_seen_terminal_at) == (at(5), at(11))


@pytest.mark.parametrize("result", TROUBLES)
def test_what_says_nothing_of_the_task_does_not_move_the_beginning_of_its_window(
    result: PollResult,
) -> None:
    task = TASK.polled(poll(PENDING, 1, 2), NEXT)

    assert task.polled(poll(trouble(result), 5, 6), NEXT).window.last_seen_pending_at == at(1)


def test_an_answer_for_a_task_that_nobody_watches_is_a_fault_of_ours() -> None:
    with pytest.raises(BrokenRule):
        TASK.left().polled(poll(SUCCESS, 5), NEXT)


def test_a_task_that_was_left_is_idle_and_out_of_its_queue() -> None:
    left = replace(TASK, verdict_from=at(90), polls=4).left()

    assert (left.state, left.next_at, left.leased_until, left.verdict_from) == (
        TaskState.IDLE,
        None,
        None,
        None,
    )
    assert left.polls == 4


@pytest.mark.parametrize("state", sorted(set(TaskState) - {TaskState.WATCHING}))
def test_only_a_watched_task_can_be_left(state: TaskState) -> None:
    with pytest.raises(BrokenRule):
        replace(TASK, state=state).left()


@pytest.mark.parametrize("answer", [*GOING_ON, SUCCESS, FAILED, NOT_FOUND], ids=str)
def test_camb_says_something_about_a_task_by_a_status_body_or_a_404(answer: PollAnswer) -> None:
    assert conclusive(poll(answer, 0))


@pytest.mark.parametrize("result", SAYS_NOTHING)
def test_trouble_with_the_key_the_server_or_the_road_says_nothing_about_a_task(result: PollResult) -> None:
    assert not conclusive(poll(trouble(result), 0))


def test_every_result_there_is_appears_in_these_tables() -> None:
    read = {answer.result for answer in (*GOING_ON, SUCCESS, FAILED)}

    assert read | TROUBLES.keys() == set(PollResult)


DUE_SOON = replace(TASK, leased_until=None, next_at=at(60))


@pytest.mark.parametrize(
    ("task", "next_at", "verdict_from"),
    [
        pytest.param(DUE_SOON, at(31), at(30), id="at once"),
        pytest.param(replace(DUE_SOON, next_at=at(20)), at(20), at(30), id="due already"),
        pytest.param(replace(DUE_SOON, verdict_from=at(10)), at(31), at(30), id="asked before"),
        pytest.param(replace(DUE_SOON, verdict_from=at(30.5)), at(31), at(30.5), id="asked later"),
        pytest.param(replace(TASK, next_at=at(50)), at(50), at(30), id="a poll is under way"),
        pytest.param(replace(DUE_SOON, next_at=None), None, at(30), id="not in its queue"),
    ],
)
def test_an_expiry_asks_for_one_more_look_at_the_task(
    task: Task, next_at: Instant | None, verdict_from: Instant
) -> None:
    asked = task.due_for_verdict(at(30), at(31))

    assert (asked.next_at, asked.verdict_from) == (next_at, verdict_from)


@pytest.mark.parametrize(
    ("begun", "answer", "next_at", "verdict_from"),
    [
        (29.9, PENDING, at(40), at(30)),
        (29.9, trouble(PollResult.TIMEOUT), at(40), at(30)),
        (30, PENDING, NEXT, None),
        (31, PENDING, NEXT, None),
        (31, NOT_FOUND, NEXT, None),
        *((31, trouble(result), NEXT, at(30)) for result in SAYS_NOTHING),
    ],
)
def test_a_poll_that_left_before_the_expiry_or_says_nothing_leaves_the_verdict_to_the_next(
    begun: float, answer: PollAnswer, next_at: Instant, verdict_from: Instant | None
) -> None:
    after = replace(TASK, verdict_from=at(30)).polled(poll(answer, begun, 40), NEXT)

    assert (after.next_at, after.verdict_from) == (next_at, verdict_from)


@pytest.mark.parametrize("answer", [*GOING_ON, NOT_FOUND], ids=str)
@pytest.mark.parametrize(("begun", "told"), [(29, False), (29.999, False), (30, True), (31, True)])
def test_a_registration_expires_by_a_poll_begun_after_its_time_and_no_other(
    answer: PollAnswer, begun: float, *, told: bool
) -> None:
    reached = judged(TASK, poll(answer, begun, 40), watcher(expires=30))

    assert reached is (EventType.REGISTRATION_EXPIRED if told else None)


@pytest.mark.parametrize("result", SAYS_NOTHING)
def test_no_registration_expires_by_an_answer_that_says_nothing(result: PollResult) -> None:
    assert judged(TASK, poll(trouble(result), 31, 40), watcher(expires=30)) is None


@pytest.mark.parametrize("begun", [29, 31])
@pytest.mark.parametrize(
    ("answer", "type_"), [(SUCCESS, EventType.TASK_SUCCEEDED), (FAILED, EventType.TASK_FAILED)]
)
def test_cambs_word_comes_before_an_expiry(answer: TaskReport, type_: EventType, begun: float) -> None:
    assert judged(TASK, poll(answer, begun, 40), watcher(expires=30)) is type_


def test_an_expiry_is_told_before_a_loss() -> None:
    task = replace(TASK, not_found=5)

    assert judged(task, poll(NOT_FOUND, 3_600), watcher(expires=30)) is EventType.REGISTRATION_EXPIRED


def test_regression_a_second_deadline_during_a_poll_gets_a_poll_of_its_own_at_once() -> None:
    first, second = watcher(expires=30), watcher(expires=31)
    task = replace(TASK, leased_until=None).due_for_verdict(at(30), at(30))
    polling = replace(task, leased_until=at(55), next_at=at(55)).due_for_verdict(at(31), at(31))

    early = poll(PENDING, 30.5, 32)
    after_early = polling.polled(early, NEXT)

    assert may_decide(polling, early, LOST)
    assert judged(polling, early, first) is EventType.REGISTRATION_EXPIRED
    assert judged(polling, early, second) is None
    assert after_early.next_at == at(32)
    later = poll(PENDING, 32, 33)
    assert may_decide(after_early, later, LOST)
    assert judged(after_early, later, second) is EventType.REGISTRATION_EXPIRED
    assert after_early.polled(later, NEXT).next_at == NEXT


def after_404s(times: list[float], task: Task = TASK) -> Task:
    for seconds in times:
        task = task.polled(poll(NOT_FOUND, seconds - 0.5, seconds), NEXT)
    return task


@pytest.mark.parametrize(
    ("earlier", "last", "lost"),
    [
        pytest.param([1, 2], 600, True, id="three 404s and the grace"),
        pytest.param([1, 300, 599], 600, True, id="four 404s and the grace"),
        pytest.param([1, 2], 599.9, False, id="not yet the grace"),
        pytest.param([300], 3_600, False, id="two 404s"),
        pytest.param([], 86_000, False, id="one 404"),
        pytest.param([1, 2, 3, 4, 5, 6], 100, False, id="many 404s in no time"),
    ],
)
def test_a_task_is_lost_by_three_separate_404s_and_the_grace(
    earlier: list[float], last: float, *, lost: bool
) -> None:
    reached = judged(after_404s(earlier), poll(NOT_FOUND, last - 0.5, last), watcher())

    assert reached is (EventType.TASK_LOST if lost else None)


@pytest.mark.parametrize(("last", "lost"), [(1_299.9, False), (1_300, True)])
def test_a_registration_that_joined_late_counts_the_grace_from_its_own_beginning(
    last: float, *, lost: bool
) -> None:
    joined = watcher(created=700, not_found_before=50)
    task = after_404s([800, 900], replace(TASK, not_found=50))

    reached = judged(task, poll(NOT_FOUND, last - 0.5, last), joined)

    assert reached is (EventType.TASK_LOST if lost else None)


def test_a_registration_that_joined_late_counts_only_its_own_404s() -> None:
    task = after_404s([1, 2, 300, 700])
    from_the_start, late = watcher(), watcher(created=1, not_found_before=3)

    made = poll(NOT_FOUND, 900)

    assert judged(task, made, from_the_start) is EventType.TASK_LOST
    assert judged(task, made, late) is None
    assert judged(task.polled(made, NEXT), poll(NOT_FOUND, 901), late) is EventType.TASK_LOST


@pytest.mark.parametrize(
    "answer",
    [*GOING_ON, *(trouble(result) for result in SAYS_NOTHING if TROUBLES[result] is not None)],
    ids=str,
)
@pytest.mark.parametrize(
    ("times", "lost"),
    [
        pytest.param([1_100, 1_200, 1_600], True, id="three and the grace after it"),
        pytest.param([1_100, 1_200, 1_599], False, id="three before the grace is over"),
        pytest.param([1_100, 3_600], False, id="two since"),
    ],
)
def test_any_other_answer_begins_the_count_and_the_grace_anew(
    answer: PollAnswer, times: list[float], *, lost: bool
) -> None:
    task = after_404s([1, 2, 3]).polled(poll(answer, 999, 1_000), NEXT)
    *earlier, last = times

    reached = judged(after_404s(earlier, task), poll(NOT_FOUND, last - 0.5, last), watcher())

    assert reached is (EventType.TASK_LOST if lost else None)


@pytest.mark.parametrize("result", [PollResult.TIMEOUT, PollResult.UNREACHABLE])
def test_no_answer_is_no_other_answer(result: PollResult) -> None:
    task = after_404s([1, 2]).polled(poll(trouble(result), 300), NEXT)

    assert judged(task, poll(NOT_FOUND, 600), watcher()) is EventType.TASK_LOST


@pytest.mark.parametrize("answer", [*GOING_ON, *(trouble(result) for result in SAYS_NOTHING)], ids=str)
def test_only_a_404_can_lose_a_task(answer: PollAnswer) -> None:
    assert judged(after_404s([1, 2, 3, 4]), poll(answer, 3_600), watcher()) is None


ANSWERS = st.sampled_from(
    [*[NOT_FOUND] * 3, PENDING, NO_STATUS, trouble(PollResult.SERVER_ERROR), trouble(PollResult.TIMEOUT)]
)
STEPS = st.lists(st.tuples(st.integers(1, 400), ANSWERS), min_size=1, max_size=12)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one registration has seen of its task, retold without the relay's own bookkeeping."""

    since: Instant
    not_found: int = 0

    def then(self, made: Poll) -> "Seen":
        if made.answer is NOT_FOUND:
            return replace(self, not_found=self.not_found + 1)
        return self if made.answer.http_status is None else Seen(since=made.ended_at)

    @property
    def many_enough(self) -> bool:
        return self.not_found >= LOST.answers


@given(before=STEPS, since=STEPS)
def test_lost_is_three_404s_and_the_grace_since_the_last_other_answer_or_the_registration(
    before: list[tuple[int, PollAnswer]], since: list[tuple[int, PollAnswer]]
) -> None:
    task, now = TASK, 0
    for wait, answer in before:
        now += wait
        task = task.polled(poll(answer, now - 0.5, now), NEXT)
    joined = watcher(created=now, not_found_before=task.not_found)
    seen = Seen(since=at(now))

    for wait, answer in since:
        now += wait
        made = poll(answer, now - 0.5, now)
        seen = seen.then(made)
        reached = judged(task, made, joined)
        lost = answer is NOT_FOUND and seen.many_enough and made.ended_at - seen.since >= LOST.grace
        assert reached is (EventType.TASK_LOST if lost else None)
        assert reached is None or may_decide(task, made, LOST)
        task = task.polled(made, NEXT)


@given(
    not_found=st.integers(0, 6),
    answer=st.sampled_from(
        [PENDING, SUCCESS, FAILED, NOT_FOUND, *(trouble(result) for result in SAYS_NOTHING)]
    ),
    begun=st.integers(0, 2_000),
    expires=st.integers(0, 2_000),
)
def test_no_verdict_is_missed_by_not_reading_the_registrations(
    not_found: int, answer: PollAnswer, begun: int, expires: int
) -> None:
    task = replace(TASK, not_found=not_found)
    if expires <= begun:
        task = task.due_for_verdict(at(expires), at(begun))
    made = poll(answer, begun)

    reached = judged(task, made, watcher(expires=expires))

    assert reached is None or may_decide(task, made, LOST)


@pytest.mark.parametrize(
    ("task", "answer", "may"),
    [
        (TASK, PENDING, False),
        (TASK, SUCCESS, True),
        (TASK, FAILED, True),
        (TASK, NOT_FOUND, False),
        (replace(TASK, not_found=1), NOT_FOUND, False),
        (replace(TASK, not_found=2), NOT_FOUND, True),
        (replace(TASK, not_found=9, not_found_before=8), NOT_FOUND, False),
        (replace(TASK, not_found=9), PENDING, False),
        *((replace(TASK, not_found=9), trouble(result), False) for result in SAYS_NOTHING),
        (replace(TASK, verdict_from=at(30)), PENDING, True),
    ],
)
def test_the_registrations_are_read_only_where_an_answer_may_mean_something_to_them(
    task: Task, answer: PollAnswer, *, may: bool
) -> None:
    assert may_decide(task, poll(answer, 60), LOST) is may


def reached_by(task: Task, made: Poll, waiting: Watcher, last_payload: bytes | None = None) -> Verdict:
    reached = verdict(
        task.polled(made, NEXT), made, waiting, lost=LOST, base_url=BASE, last_payload=last_payload
    )
    assert reached is not None
    return reached


def test_an_end_is_told_with_its_window_and_its_result() -> None:
    task = TASK.polled(poll(PENDING, 1, 2), NEXT)

    reached = reached_by(task, poll(SUCCESS, 9, 11), watcher())

    read = orjson.loads(reached.body)
    assert (reached.type, reached.at) == (EventType.TASK_SUCCEEDED, at(11))
    assert read["timestamp"] == read["data"]["first_seen_terminal_at"] == "2026-11-23T12:00:11.000Z"
    assert read["data"]["last_seen_pending_at"] == "2026-11-23T12:00:01.000Z"
    assert read["data"]["result_url"] == BASE + "/text-to-sound-result/123"


def test_whoever_registers_after_the_end_is_told_when_it_was_seen_in_bytes_that_do_not_depend_on_now() -> (
    None
):
    task = TASK.polled(poll(FAILED, 9, 11), NEXT)

    reached = ended(task, REGISTRATION, FAILED, at=at(5_000), base_url=BASE)

    assert (reached.type, reached.at) == (EventType.TASK_FAILED, at(5_000))
    assert reached.body == ended(task, REGISTRATION, FAILED, at=at(9_000), base_url=BASE).body
    assert orjson.loads(reached.body)["timestamp"] == "2026-11-23T12:00:11.000Z"


def test_an_end_whose_arrival_was_not_kept_is_told_as_of_now() -> None:
    reached = ended(TASK, REGISTRATION, SUCCESS, at=at(5_000), base_url=BASE)

    assert orjson.loads(reached.body)["timestamp"] == "2026-11-23T13:23:20.000Z"


@pytest.mark.parametrize("format_", Format)
def test_an_expiry_says_so_and_hands_on_cambs_last_word(format_: Format) -> None:
    waiting = watcher(expires=30)
    waiting = replace(waiting, registration=replace(waiting.registration, format=format_))

    reached = reached_by(TASK, poll(PENDING, 31, 32), waiting, PENDING.payload)

    data = orjson.loads(reached.body)["data"]
    assert (reached.type, reached.at) == (EventType.REGISTRATION_EXPIRED, at(32))
    assert "expired" in data["message"]
    assert (data["status"], data["payload"]) == (None, {"status": "PENDING"})
    assert data["first_seen_terminal_at"] is None


@pytest.mark.parametrize("format_", Format)
def test_a_loss_asks_whether_it_was_another_kind(format_: Format) -> None:
    waiting = watcher()
    waiting = replace(waiting, registration=replace(waiting.registration, format=format_))

    reached = reached_by(after_404s([1, 2]), poll(NOT_FOUND, 600, 601), waiting)

    data = orjson.loads(reached.body)["data"]
    assert (reached.type, reached.at) == (EventType.TASK_LOST, at(601))
    assert data["message"] == "not found under kind text-to-sound; was it another kind?"
    assert data["message"] == not_found_hint(TASK.kind)
    assert (data["status"], data["payload"]) == (None, None)


def test_where_no_poll_could_be_made_an_expiry_is_told_as_of_the_given_moment() -> None:
    reached = expired(TASK, REGISTRATION, at=at(150), last_payload=None)

    read = orjson.loads(reached.body)
    assert (reached.type, reached.at) == (EventType.REGISTRATION_EXPIRED, at(150))
    assert read["timestamp"] == "2026-11-23T12:02:30.000Z"
    assert read["data"]["payload"] is None


def test_a_verdict_on_one_registration_changes_nothing_for_the_task_of_the_others() -> None:
    made = poll(PENDING, 31, 32)
    task = replace(TASK, verdict_from=at(30))

    after = task.polled(made, NEXT)

    assert judged(task, made, watcher(expires=30)) is EventType.REGISTRATION_EXPIRED
    assert judged(task, made, watcher(expires=90)) is None
    assert (after.state, after.next_at) == (TaskState.WATCHING, NEXT)
