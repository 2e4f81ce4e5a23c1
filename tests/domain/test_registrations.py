import itertools
from dataclasses import replace

import pytest

from relay.domain.errors import BrokenRule
from relay.domain.ids import identity_of, task_ref
from relay.domain.registrations import (
    REGISTRATION_TRANSITIONS,
    Format,
    RegistrationChange,
    RegistrationState,
    after_change,
    allows,
)
from tests.domain.samples import NOON, REGISTRATION

S, C = RegistrationState, RegistrationChange


@pytest.mark.parametrize(
    ("state", "change", "after"),
    [
        (S.WATCHING, C.ANNOUNCED, S.DELIVERING),
        (S.WATCHING, C.PUBLISHED, S.AVAILABLE),
        (S.WATCHING, C.CANCELLED, S.CANCELLED),
        (S.DELIVERING, C.PUBLISHED, S.AVAILABLE),
        (S.DELIVERING, C.ACCEPTED, S.DELIVERED),
        (S.DELIVERING, C.GIVEN_UP, S.DEAD),
        (S.DELIVERING, C.CANCELLED, S.CANCELLED),
        (S.DELIVERED, C.ACCEPTED, S.DELIVERED),
        (S.DELIVERED, C.REDELIVERED, S.DELIVERING),
        (S.DEAD, C.ACCEPTED, S.DELIVERED),
        (S.DEAD, C.REDELIVERED, S.DELIVERING),
        (S.CANCELLED, C.CANCELLED, S.CANCELLED),
    ],
)
def test_a_registration_changes_as_its_table_says(
    state: RegistrationState, change: RegistrationChange, after: RegistrationState
) -> None:
    assert allows(state, change)
    assert after_change(state, change) is after


@pytest.mark.parametrize(
    ("state", "change"),
    sorted(set(itertools.product(RegistrationState, RegistrationChange)) - REGISTRATION_TRANSITIONS.keys()),
)
def test_a_registration_changes_in_no_other_way(state: RegistrationState, change: RegistrationChange) -> None:
    assert not allows(state, change)
    with pytest.raises(BrokenRule, match=f"a registration that is {state} cannot be {change}"):
        after_change(state, change)


def test_nothing_leaves_a_cancelled_registration_or_one_whose_event_is_pulled() -> None:
    left = {state for (state, _), after in REGISTRATION_TRANSITIONS.items() if after is not state}

    assert set(RegistrationState) - left == {S.CANCELLED, S.AVAILABLE}


def test_a_registration_is_watched_only_until_it_was_announced_once() -> None:
    leading_to_watching = [
        (state, change) for (state, change), after in REGISTRATION_TRANSITIONS.items() if after is S.WATCHING
    ]

    assert leading_to_watching == []


def test_a_registration_shares_its_task_with_every_other_of_that_client_kind_and_task_id() -> None:
    elsewhere = replace(REGISTRATION, callback_url="https://other.example/", origin="https://other.example")

    assert REGISTRATION.task == elsewhere.task == task_ref("shop", "text-to-sound", "t-1")
    assert replace(REGISTRATION, client="bank").task != REGISTRATION.task


def test_a_registrations_options_are_no_part_of_its_identity() -> None:
    other = replace(REGISTRATION, metadata=b"{}", expires_in=60, format=Format.RAW, created_at=NOON)

    assert other.identity == REGISTRATION.identity
    assert REGISTRATION.identity == identity_of("shop", "text-to-sound", "t-1", REGISTRATION.callback_url)


def test_a_registration_is_delivered_in_the_lane_of_its_client_and_origin() -> None:
    same_origin = replace(REGISTRATION, callback_url="https://shop.example/other", task_id="t-2")
    other_client = replace(REGISTRATION, client="bank")
    other_origin = replace(REGISTRATION, origin="https://shop.example:8443")

    assert same_origin.lane == REGISTRATION.lane
    assert len({REGISTRATION.lane, other_client.lane, other_origin.lane}) == 3
    assert REGISTRATION.lane is not None
    assert "s3cret" not in REGISTRATION.lane


def test_without_a_callback_a_registration_has_no_lane_and_an_identity_of_its_own() -> None:
    pulled = replace(REGISTRATION, callback_url=None, origin=None)

    assert pulled.lane is None
    assert pulled.task == REGISTRATION.task
    assert pulled.identity != REGISTRATION.identity
    assert pulled.identity == replace(pulled, metadata=b'{"other":1}').identity
