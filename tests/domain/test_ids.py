import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain import ids
from relay.domain.ids import RANDOM_BITS, RegistrationId
from relay.domain.instants import MILLISECOND, Instant
from tests.domain.samples import NOON

INSTANTS = st.integers(0, (2**48 - 1) * MILLISECOND).map(Instant)
RANDOM = st.integers(0, 2**RANDOM_BITS - 1)
DIGITS = "019aad2c4000700080000000000000ff"


@given(now=INSTANTS, bits=RANDOM)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_millisecond_and_all_its_random_bits(
    now: Instant, bits: int
) -> None:
    made = uuid.UUID(hex=ids.uuid7_hex(now, bits))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now // MILLISECOND
    assert (made.int >> 64 & 0xFFF) << 62 | made.int & (2**62 - 1) == bits


@given(earlier=INSTANTS, milliseconds=st.integers(1, 10**12), bits=RANDOM, later_bits=RANDOM)
def test_an_id_made_in_a_later_millisecond_sorts_after_whatever_the_dice_say(
    earlier: Instant, milliseconds: int, bits: int, later_bits: int
) -> None:
    later = Instant(min(earlier + milliseconds * MILLISECOND, (2**48 - 1) * MILLISECOND))

    first, second = ids.uuid7_hex(earlier, bits), ids.uuid7_hex(later, later_bits)

    assert first < second or later // MILLISECOND == earlier // MILLISECOND


@given(now=INSTANTS, bits=RANDOM)
def test_a_registrations_id_is_read_back_as_it_was_made(now: Instant, bits: int) -> None:
    made = ids.registration_id(now, bits)

    assert made.startswith("reg_")
    assert ids.parse_registration_id(made) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reg_",
        DIGITS,
        "evt_" + DIGITS,
        "reg_" + DIGITS[:-1],
        "reg_" + DIGITS + "0",
        "reg_" + DIGITS.upper(),
        "REG_" + DIGITS,
        "reg_reg_" + DIGITS[:-4],
        "reg_" + DIGITS[:-1] + "g",
        "reg_" + DIGITS[:-1] + "\u0661",
        " reg_" + DIGITS,
        "reg_" + DIGITS + "\n",
        str(uuid.UUID(hex=DIGITS)),
    ],
)
def test_what_is_no_registrations_id_is_not_read_as_one(text: str) -> None:
    assert ids.parse_registration_id(text) is None


def test_a_replays_id_is_read_as_one_and_as_no_other() -> None:
    made = ids.replay_id(NOON, 1)

    assert made.startswith("rpl_")
    assert ids.parse_replay_id(made) == made
    assert ids.parse_registration_id(made) is None
    assert ids.parse_replay_id("reg_" + DIGITS) is None
    assert ids.parse_replay_id(made[:-1]) is None


@given(st.text() | st.text("reg_0123456789abcdef", min_size=30, max_size=40))
def test_whatever_text_is_asked_for_is_an_id_unchanged_or_none(text: str) -> None:
    assert ids.parse_registration_id(text) in {None, text}


def test_a_registrations_event_has_the_same_name_whenever_it_is_made() -> None:
    registration = RegistrationId("reg_" + DIGITS)

    assert ids.event_id_of(registration) == ids.event_id_of(registration) == "evt_" + DIGITS


def test_a_test_event_has_an_events_name_of_its_own() -> None:
    first, second = ids.test_event_id(NOON, 1), ids.test_event_id(NOON, 2)

    assert first.startswith("evt_")
    assert len(first) == len("evt_" + DIGITS)
    assert first != second


def test_the_name_of_a_task_and_the_identity_of_a_registration_stay_what_the_database_holds() -> None:
    task = ids.task_ref("shop", "dub", "T-1")
    identity = ids.identity_of("shop", "dub", "T-1", "https://shop.example/hook")

    assert task == "tsk_7db3f00c188eb9475574f3d7b1caab88"
    assert identity.hex() == "58a371895452c4220a766ce576af8ce6dd78d7222deb02ce0a2cdb7381311f96"


PARTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@given(st.tuples(PARTS, PARTS, PARTS), st.tuples(PARTS, PARTS, PARTS))
def test_two_tasks_share_a_name_only_if_client_kind_and_task_id_are_the_same(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (ids.task_ref(*one) == ids.task_ref(*other)) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c", "d"), ("a", "bc", "d")),
        (("a", "b", "cd"), ("a", "bc", "d")),
        (("a", "b", ""), ("a", "", "b")),
        (("shop", "dub", "T-1"), ("shop", "dub", "t-1")),
        (("shop", "dub", "1"), ("shop", "dub", " 1")),
    ],
)
def test_tasks_whose_parts_join_to_one_text_or_differ_in_case_have_names_of_their_own(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert ids.task_ref(*one) != ids.task_ref(*other)


SAME = ("shop", "dub", "t-1", "https://shop.example/hook")


@pytest.mark.parametrize(
    "other",
    [
        ("shop2", "dub", "t-1", "https://shop.example/hook"),
        ("shop", "tts", "t-1", "https://shop.example/hook"),
        ("shop", "dub", "t-2", "https://shop.example/hook"),
        ("shop", "dub", "t-1", "https://shop.example/hook/"),
        ("shop", "dub", "t-1https", "://shop.example/hook"),
    ],
)
def test_another_client_kind_task_or_url_makes_another_registration(other: tuple[str, str, str, str]) -> None:
    assert ids.identity_of(*SAME) == ids.identity_of(*SAME)
    assert ids.identity_of(*SAME) != ids.identity_of(*other)
