"""The README's table of bounds, row by row: made from the code that holds each, and from the test that shows it."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest

from relay import framing, transport
from relay.api import fields, requests, schemas
from relay.api import registrations as calls
from relay.cli import protocol
from relay.cli.serving import KEEP_ALIVE_SECONDS
from relay.commits import MOST_WAITING
from relay.console import forms, indented, throttle
from relay.console import registrations as console_lists
from relay.domain import allowances, traces
from relay.domain.instants import SECOND
from relay.domain.replays import MOST_CLOSED, MOST_DUE, MOST_IN_ALL, MOST_OPEN, MOST_SHOWN
from relay.domain.rollups import ChartSpan
from relay.domain.sharing import GREED
from relay.domain.urls import MAX_CALLBACK_URL
from relay.outside import LOOKUP_THREADS
from relay.services import allow, deliver, notify, poll, replay, spans, survey, tally
from relay.services.prune import PRUNE_SECONDS
from relay.services.work import MOST_LOOKS_IN_VAIN
from relay.settings import Settings
from relay.storage import deliveries, feeds, lists, redelivery
from relay.storage import survey as surveys
from relay.traces import FLUSH_SECONDS
from relay.tracing import exporter
from relay.webhook import guard
from tests.test_home import HOME

DEFAULT: Final = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """`shown_by` are a test's file and name for each number of `value`, in their order."""

    who: str
    what: str
    value: str
    shown_by: tuple[str, ...]

    @property
    def row(self) -> str:
        return f"| {self.who} | {self.what} | {self.value} |"

    @property
    def numbers(self) -> list[str]:
        """But for the status that is answered beyond them."""
        return re.findall(r"(?<!then )(?<![\d,])\d[\d,]*\b(?!xx)", self.value)


def size(count: int) -> str:
    for unit, bytes_ in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes_ and count % bytes_ == 0:
            return f"{count // bytes_} {unit}"
    return f"{count} bytes"


def length(span: timedelta | float) -> str:
    """In the largest unit that leaves a whole number of them."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    for unit, of in (("d", 86_400), ("h", 3_600)):
        if seconds >= of and seconds % of == 0 and seconds // of != 1:
            return f"{seconds // of:g} {unit}"
    return f"{seconds:g} s"


CALLER: Final = "caller"
CAMB: Final = "CAMB"
RECEIVER: Final = "receiver"
COLLECTOR: Final = "collector"
SHORTEST: Final = length(float(schemas.SHORTEST_EXPIRY))
LONGEST: Final = length(float(schemas.LONGEST_EXPIRY))

BOUNDS: Final = (
    Bound(
        who=CALLER,
        what="registrations a minute of a client and process (`registrations.per_minute`,"
        " `clients.<name>.registrations_per_minute`)",
        value=f"{DEFAULT.registrations.per_minute:,}, and as many at once; then 429",
        shown_by=(
            "tests/services/test_allowing.py::test_beyond_its_minute_a_client_is_answered_429_until_it_fits",
        ),
    ),
    Bound(
        who=CALLER,
        what="registrations of a client that watch (`registrations.max_watched`, `clients.<name>.max_watched`)",
        value=f"{DEFAULT.registrations.max_watched:,}; then 429. Counted again after {length(allow.COUNT_AGAIN / 1e6)} at the"
        " earliest; each of several processes may let through what others take between two of its counts",
        shown_by=(
            "tests/services/test_allowing.py::test_no_more_registrations_watch_than_the_client_may_have",
            "tests/services/test_allowing.py::test_a_client_at_its_bound_has_the_database_count_once_a_second",
        ),
    ),
    Bound(
        who=CALLER,
        what="registrations of one task that are kept, in any state",
        value=f"{allowances.MOST_OF_A_TASK:,}; then 429",
        shown_by=(
            "tests/storage/test_bounds.py::test_two_batches_at_once_do_not_fill_a_task_beyond_its_bound",
        ),
    ),
    Bound(
        who=CALLER,
        what="batches of a client under way · registrations in a batch",
        value=f"{calls.MAX_BATCHES}; then 429 · {schemas.MAX_BATCH:,}",
        shown_by=(
            "tests/api/test_growth.py::test_a_client_has_only_so_many_batches_under_way",
            "tests/api/test_batch.py::test_a_batch_of_the_wrong_size_is_refused_whole",
        ),
    ),
    Bound(
        who=CALLER,
        what="registrations that wait for their commit",
        value=f"{MOST_WAITING:,}; then 503",
        shown_by=("tests/storage/test_committer.py::test_more_than_may_wait_is_refused_and_changes_nothing",),
    ),
    Bound(
        who=CALLER,
        what="body of one registration · of a batch",
        value=f"{size(requests.MAX_BODY)} · {size(requests.MAX_BATCH_BODY)}, each within {length(requests.BODY_SECONDS)}",
        shown_by=(
            "tests/api/test_bad_bodies.py::test_a_body_that_is_too_large_is_answered_413",
            "tests/api/test_bad_bodies.py::test_a_body_that_is_too_large_is_answered_413",
            "tests/test_waits.py::test_a_body_is_waited_for_for_ten_seconds",
        ),
    ),
    Bound(
        who=CALLER,
        what="request line and headers; trailers; a chunk's extension",
        value=f"{size(protocol.MAX_HEAD)}, the head within {length(protocol.HEAD_SECONDS)}",
        shown_by=(
            "tests/cli/test_protocol.py::test_what_is_neither_head_nor_body_is_hung_up_on_where_it_has_no_end",
            "tests/cli/test_protocol.py::test_a_head_that_takes_too_long_is_hung_up_on",
        ),
    ),
    Bound(
        who=CALLER,
        what="open connections of a port · requests waiting on one",
        value=f"{protocol.MAX_CONNECTIONS:,}; then 503 · {protocol.MAX_PIPELINED}",
        shown_by=(
            "tests/cli/test_protocol.py::test_a_connection_too_many_is_answered_503_with_a_problem_and_closed",
            "tests/cli/test_protocol.py::test_only_so_many_requests_wait_on_one_connection",
        ),
    ),
    Bound(
        who=CALLER,
        what="an idle connection · a body nobody asked for · an answer nobody reads",
        value=f"{length(KEEP_ALIVE_SECONDS)} · {length(protocol.REST_SECONDS)} · {length(protocol.UNREAD_SECONDS)}",
        shown_by=(
            "tests/cli/test_protocol.py::test_an_idle_connection_goes_although_its_last_answer_was_not_read",
            "tests/cli/test_protocol.py::test_a_body_that_nobody_reads_must_end_as_well",
            "tests/cli/test_protocol.py::test_who_does_not_read_an_answer_is_hung_up_on",
        ),
    ),
    Bound(
        who=CALLER,
        what="`task_id` · `callback_url` · `metadata`",
        value=f"{fields.MAX_TASK_ID} characters · {MAX_CALLBACK_URL:,} · {size(fields.MAX_METADATA_BYTES)} and"
        f" {fields.MAX_METADATA_DEPTH} levels; a number beyond 64 bits is rounded to a double",
        shown_by=(
            "tests/api/test_bad_fields.py::test_a_field_that_breaks_a_rule_is_named_with_the_rule",
            "tests/api/test_bad_fields.py::test_a_field_that_breaks_a_rule_is_named_with_the_rule",
            "tests/api/test_bad_fields.py::test_a_field_that_breaks_a_rule_is_named_with_the_rule",
            "tests/api/test_bad_fields.py::test_a_field_that_breaks_a_rule_is_named_with_the_rule",
            "tests/api/test_growth.py::test_a_number_beyond_64_bits_is_rounded_to_a_double",
        ),
    ),
    Bound(
        who=CALLER,
        what="`expires_in`",
        value=f"{SHORTEST} to {LONGEST}; {length(DEFAULT.registrations.expires_in)} if left out (`registrations.expires_in`)",
        shown_by=(
            "tests/api/test_bad_fields.py::test_a_field_that_breaks_a_rule_is_named_with_the_rule",
            "tests/api/test_bad_fields.py::test_a_field_that_breaks_a_rule_is_named_with_the_rule",
            "tests/api/test_growth.py::test_a_registration_expires_after_a_day_unless_it_says_otherwise",
        ),
    ),
    Bound(
        who=CALLER,
        what="registrations looked at for a page of a `kind`",
        value=f"{lists.MOST_LOOKED_AT:,}; it may then be short, or empty, and `next_cursor` goes on",
        shown_by=("tests/api/test_listing.py::test_of_a_kind_that_nobody_has_the_pages_come_to_an_end",),
    ),
    Bound(
        who=CALLER,
        what="list `limit`",
        value=f"{schemas.DEFAULT_LIMIT}, at most {schemas.MAX_LIMIT}",
        shown_by=(
            "tests/api/test_listing.py::test_a_page_holds_fifty_unless_asked_for_more",
            "tests/api/test_growth.py::test_a_page_of_attempts_keeps_to_its_bounds",
        ),
    ),
    Bound(
        who=CALLER,
        what="what a refusal repeats of a request",
        value=f"{requests.MAX_ERRORS} rules of {requests.MAX_FIELD} characters of their fields' names",
        shown_by=(
            "tests/api/test_growth.py::test_no_more_broken_rules_are_told_than_a_reader_takes_in",
            "tests/api/test_growth.py::test_a_parameter_that_is_given_twice_is_named_in_short",
        ),
    ),
    Bound(
        who=CALLER,
        what="origins of a client looked at for one claim",
        value=f"{deliveries.MOST_LANES:,}; then at the next ones, {MOST_LOOKS_IN_VAIN} times in a row where none can be served",
        shown_by=(
            "tests/storage/test_origins.py::test_of_a_client_with_many_origins_a_claim_looks_at_some_and_the_next_at_others",
            "tests/services/test_hanging.py::test_a_look_ends_although_more_origins_are_paused_than_are_looked_at",
        ),
    ),
    Bound(
        who=CALLER,
        what="requests that wait and streams of a client · of a process",
        value=f"{notify.MOST_OF_A_CLIENT} · {notify.MOST:,}; then 429",
        shown_by=(
            "tests/api/test_waiting.py::test_a_client_has_only_so_many_requests_that_wait",
            "tests/services/test_notifying.py::test_a_process_has_only_so_many_places",
        ),
    ),
    Bound(
        who=CALLER,
        what="how long a request waits (`wait`) · bodies of a page of events",
        value=f"{length(float(schemas.LONGEST_WAIT))} · {size(feeds.MOST_BYTES)}, and the one that goes beyond",
        shown_by=(
            "tests/api/test_waiting.py::test_it_is_waited_within_bounds",
            "tests/storage/test_feeds.py::test_a_page_ends_with_the_event_that_makes_it_large",
        ),
    ),
    Bound(
        who=CALLER,
        what="`tracestate` that is kept",
        value=f"{traces.MOST_MEMBERS} members, {traces.LONGEST_STATE} characters",
        shown_by=(
            "tests/domain/test_traces.py::test_a_malformed_tracestate_goes_alone",
            "tests/domain/test_traces.py::test_a_long_tracestate_loses_its_longest_members_first_and_then_its_last",
        ),
    ),
    Bound(
        who=CALLER,
        what="dry runs of a client at once",
        value=f"{replay.MAX_COUNTS}, then 429",
        shown_by=("tests/services/test_replaying.py::test_a_client_counts_only_so_much_at_once",),
    ),
    Bound(
        who=CALLER,
        what="replays of a client that are open · over · in all",
        value=f"{MOST_OPEN}, then 409 · the newest {MOST_CLOSED}, within {length(float(PRUNE_SECONDS))}"
        f" · {MOST_IN_ALL}, then 429",
        shown_by=(
            "tests/api/test_replays.py::test_a_client_has_only_so_many_replays_open",
            "tests/services/test_replaying.py::test_replays_that_are_begun_and_cancelled_over_and_over_do_not_pile_up",
            "tests/services/test_replaying.py::test_replays_that_are_begun_and_cancelled_over_and_over_do_not_pile_up",
            "tests/services/test_replaying.py::test_replays_that_are_begun_and_cancelled_over_and_over_do_not_pile_up",
        ),
    ),
    Bound(
        who=CALLER,
        what="origins that a replay is shown with, and kept with once it is over",
        value=f"{MOST_SHOWN}",
        shown_by=(
            "tests/services/test_replaying.py::test_of_a_replay_that_is_over_no_more_origins_are_kept_than_are_shown",
        ),
    ),
    Bound(
        who=CALLER,
        what="deliveries due to an origin, beyond which a replay adds none",
        value=f"{MOST_DUE}",
        shown_by=(
            "tests/services/test_replaying.py::test_a_fresh_delivery_waits_behind_no_more_than_a_replay_may_add",
        ),
    ),
    Bound(
        who=CALLER,
        what="test notifications of a client at once",
        value=f"{deliver.MOST_TESTS}, then 503",
        shown_by=(
            "tests/services/test_test_notifications.py::test_a_client_that_tests_many_hanging_origins_takes_no_more_than_its_share",
        ),
    ),
    Bound(
        who=CALLER,
        what="wrong tokens of an address at the console · addresses remembered",
        value=f"{throttle.MOST_FAILURES} within {length(throttle.WITHIN / SECOND)}, then 429 for its rest ·"
        f" {throttle.MOST_ADDRESSES:,} of a process",
        shown_by=(
            "tests/console/test_signing_in.py::test_after_ten_wrong_tokens_in_a_minute_an_address_is_not_heard_for_its_rest",
            "tests/console/test_signing_in.py::test_after_ten_wrong_tokens_in_a_minute_an_address_is_not_heard_for_its_rest",
            "tests/console/test_signing_in.py::test_only_so_many_addresses_are_remembered_and_the_first_is_forgotten_first",
        ),
    ),
    Bound(
        who=CALLER,
        what="a form of the console · its fields · a page's list · a body that it sets out",
        value=f"{size(requests.MAX_BODY)} · {forms.MOST_FIELDS} · {console_lists.PAGE} · {size(indented.LONGEST)}",
        shown_by=(
            "tests/console/test_pages.py::test_a_form_that_is_none_is_refused",
            "tests/console/test_pages.py::test_a_form_that_is_none_is_refused",
            "tests/console/test_registrations.py::test_a_long_list_goes_on_on_another_page",
            "tests/console/test_words.py::test_what_is_no_object_or_is_long_is_shown_as_it_came",
        ),
    ),
    Bound(
        who=CALLER,
        what="names looked up for a request",
        value=f"{guard.LOOKUPS_AT_ONCE} at a time, within {length(guard.LOOKUP_SECONDS)} in all;"
        f" {LOOKUP_THREADS} threads a process, of those left to a client {GREED / (GREED + 1):.0%}",
        shown_by=(
            "tests/webhook/test_guard.py::test_a_batch_looks_up_so_many_names_at_once_and_no_more",
            "tests/test_waits.py::test_the_names_of_a_request_are_waited_for_for_a_second",
            "tests/webhook/test_names.py::test_no_more_lookups_are_under_way_than_there_are_threads",
            "tests/webhook/test_names.py::test_hanging_names_of_one_client_leave_threads_to_the_others",
        ),
    ),
    Bound(
        who=CALLER,
        what="attempts kept of a delivery's earlier rounds",
        value=f"the newest {redelivery.MOST_ATTEMPTS_KEPT}",
        shown_by=("tests/storage/test_bounds.py::test_of_earlier_rounds_only_the_newest_attempts_are_kept",),
    ),
    Bound(
        who=CALLER,
        what="how long what is finished is kept (`retention.finished`)",
        value=f"{length(DEFAULT.retention.finished)}; dead registrations for ever, or `retention.dead`",
        shown_by=(
            "tests/services/test_pruning.py::test_what_is_finished_is_kept_for_thirty_days_and_what_is_dead_for_ever",
        ),
    ),
    Bound(
        who=CALLER,
        what="what a look at how things stand counts · origins it looks at · dead it puts into groups, and groups",
        value=f"{surveys.MOST_COUNTED:,} of each · {surveys.MOST_ORIGINS:,} · the newest {survey.MOST_DEAD_READ:,},"
        f" {surveys.MOST_GROUPS}",
        shown_by=(
            "tests/storage/test_survey.py::test_counting_ends_at_a_bound_and_says_so",
            "tests/storage/test_survey.py::test_more_origins_than_are_looked_at_may_hold_more",
            "tests/storage/test_survey.py::test_what_is_dead_is_grouped_by_reason_and_origin_the_most_first",
            "tests/storage/test_survey.py::test_the_largest_groups_are_shown_of_very_many",
        ),
    ),
    Bound(
        who=CALLER,
        what="counts for charts: how long they are kept by the minute · by the quarter of an hour · how many wait for"
        " the database, of a process",
        value=f"{length(ChartSpan.HOUR.kept / SECOND)} · {length(ChartSpan.DAY.kept / SECOND)} ·"
        f" {tally.MOST_WAITING:,}; more are left out",
        shown_by=(
            "tests/services/test_surveying.py::test_counts_go_once_no_chart_shows_them",
            "tests/services/test_surveying.py::test_counts_go_once_no_chart_shows_them",
            "tests/services/test_surveying.py::test_only_so_much_is_kept_for_a_database_that_takes_nothing",
        ),
    ),
    Bound(
        who=CAMB,
        what="requests of a key (`camb.rate_per_second`, `camb.concurrency`)",
        value=f"{DEFAULT.camb.rate_per_second:g} a second, all processes together; {DEFAULT.camb.concurrency} at once",
        shown_by=(
            "tests/services/test_keys.py::test_polls_keep_to_the_keys_rate",
            "tests/services/test_keys.py::test_no_more_requests_of_a_key_are_open_at_once_than_may_be",
        ),
    ),
    Bound(
        who=CAMB,
        what="an answer (`camb.answer_bytes`, `camb.deadline`)",
        value=f"{size(DEFAULT.camb.answer_bytes)} within {length(DEFAULT.camb.deadline)}",
        shown_by=(
            "tests/test_camb.py::test_a_body_of_exactly_the_bound_is_read",
            "tests/test_camb.py::test_an_answer_of_any_shape_costs_one_poll",
        ),
    ),
    Bound(
        who=CAMB,
        what="unknown status words that are remembered",
        value=f"{poll.MOST_WORDS} of {poll.LONGEST_WORD} characters",
        shown_by=(
            "tests/services/test_endings.py::test_words_beyond_counting_are_not_remembered",
            "tests/api/test_growth.py::test_unknown_status_words_that_begin_alike_for_long_are_one_word",
        ),
    ),
    Bound(
        who=RECEIVER,
        what="attempts at once (`delivery.concurrency`, `delivery.concurrency_per_origin`)",
        value=f"{DEFAULT.delivery.concurrency} a process, {DEFAULT.delivery.concurrency_per_origin} of them to one origin",
        shown_by=(
            "tests/services/test_hanging.py::test_origins_that_are_known_to_hang_leave_a_quarter_however_many_they_are",
            "tests/services/test_origins.py::test_an_origin_that_is_back_gets_a_ramp_and_no_wave",
        ),
    ),
    Bound(
        who=RECEIVER,
        what="of the slots of a client, those for origins in trouble and for second attempts at once to one"
        " · of all slots, a client's beside others",
        value=f"{GREED / (GREED + 1):.0%} · {GREED / (GREED + 1):.0%}",
        shown_by=(
            "tests/services/test_hanging.py::test_origins_that_are_known_to_hang_leave_a_quarter_however_many_they_are",
            "tests/services/test_origins.py::test_a_client_with_many_hanging_origins_leaves_room_for_the_next",
        ),
    ),
    Bound(
        who=RECEIVER,
        what="what is kept of an answer (`delivery.answer_bytes`, `delivery.deadline`)",
        value=f"{size(DEFAULT.delivery.answer_bytes)}, within {length(DEFAULT.delivery.deadline)}",
        shown_by=(
            "tests/receivers/test_slow_and_endless.py::test_an_endless_body_is_read_to_its_bound_and_then_hung_up_on",
            "tests/receivers/test_slow_and_endless.py::test_a_body_that_drips_is_left_at_the_deadline_and_takes_no_answer_back",
        ),
    ),
    Bound(
        who=RECEIVER,
        what="the heads of an answer · a line · headers",
        value=f"{framing.MAX_HEADS}, 1xx among them · {transport.MAX_LINE:,} bytes · {transport.MAX_HEADERS}",
        shown_by=(
            "tests/test_transport.py::test_what_is_not_an_http_answer_is_a_protocol_error",
            "tests/api/test_growth.py::test_an_answer_whose_head_has_too_much_is_no_answer",
            "tests/api/test_growth.py::test_an_answer_whose_head_has_too_much_is_no_answer",
        ),
    ),
    Bound(
        who=RECEIVER,
        what="`Retry-After` (`delivery.retry_after_ceiling`)",
        value=f"{length(DEFAULT.delivery.retry_after_ceiling)} at most",
        shown_by=(
            "tests/services/test_delivering.py::test_a_retry_after_is_kept_to_exactly_up_to_its_ceiling",
        ),
    ),
    Bound(
        who=RECEIVER,
        what="idle connections · names' addresses remembered",
        value=f"{transport.MAX_IDLE:,}, {length(transport.KEEP_ALIVE_SECONDS)} each · {transport.MAX_DNS_CACHE:,},"
        f" {length(transport.DNS_CACHE_SECONDS)} each; of http, https and CAMB alike",
        shown_by=(
            "tests/api/test_growth.py::test_only_so_many_connections_are_kept_idle",
            "tests/api/test_growth.py::test_an_idle_connection_is_used_again_for_its_time_and_no_longer",
            "tests/api/test_growth.py::test_the_addresses_of_only_so_many_names_are_remembered",
            "tests/api/test_growth.py::test_a_names_addresses_are_remembered_for_their_time_and_no_longer",
        ),
    ),
    Bound(
        who=COLLECTOR,
        what="spans that wait, of a process · in a request · links of a poll's",
        value=f"{exporter.MOST_WAITING:,}; more are dropped and counted · {exporter.MOST_AT_ONCE} · {spans.MOST_LINKS}",
        shown_by=(
            "tests/tracing/test_exporter.py::test_what_comes_beyond_as_many_as_may_wait_is_dropped_and_counted",
            "tests/tracing/test_exporter.py::test_many_spans_go_in_as_many_requests_as_it_takes",
            "tests/services/test_traces.py::test_a_poll_is_linked_to_so_many_others_and_no_more",
        ),
    ),
    Bound(
        who=COLLECTOR,
        what="its answer · how long a stop waits for it",
        value=f"{size(exporter.LONGEST_ANSWER)} within {length(exporter.DEADLINE / SECOND)} · {length(FLUSH_SECONDS)}",
        shown_by=(
            "tests/tracing/test_exporter.py::test_an_endless_answer_is_cut_and_is_still_a_yes",
            "tests/test_waits.py::test_a_collector_is_waited_for_for_ten_seconds",
            "tests/test_waits.py::test_a_stop_waits_for_a_collector_for_two_seconds",
        ),
    ),
    Bound(
        who=COLLECTOR,
        what="a pause after trouble · one that it asks for by `Retry-After`",
        value=f"{length(exporter.FIRST_PAUSE / SECOND)}, doubled up to {length(exporter.LONGEST_PAUSE / SECOND)}"
        f" · {length(exporter.LONGEST_ASKED / SECOND)} at most",
        shown_by=(
            "tests/tracing/test_exporter.py::test_spans_wait_for_a_collector_in_trouble_longer_each_time",
            "tests/tracing/test_exporter.py::test_pauses_double_up_to_a_minute",
            "tests/tracing/test_exporter.py::test_a_collector_is_left_alone_for_as_long_as_it_asks_and_no_longer_than_ten_minutes",
        ),
    ),
)


def test_the_readme_lists_every_bound_at_its_value() -> None:
    readme = (HOME / "README.md").read_text().splitlines()
    begins = readme.index("| who | bound | value |")
    ends = next(number for number in range(begins, len(readme)) if not readme[number].startswith("|"))

    assert readme[begins + 2 : ends] == [bound.row for bound in BOUNDS]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.what)
def test_every_number_of_a_bound_is_held_by_a_test(bound: Bound) -> None:
    tests = [test.partition("::") for test in bound.shown_by]

    assert len(tests) == len(bound.numbers)
    assert all(f"def {name}(" in (HOME / file).read_text() for file, _, name in tests)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.what)
def test_a_setting_that_a_row_names_exists(bound: Bound) -> None:
    named = re.findall(r"`([a-z]+\.(?:<name>\.)?[a-z_]+)`", bound.row)
    known = {path for path, _ in DEFAULT.describe()} | {
        "clients.<name>.registrations_per_minute",
        "clients.<name>.max_watched",
    }

    assert set(named) <= known
