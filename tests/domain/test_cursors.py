import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.cursors import STORE_BITS, Cursor, parse_cursor


@given(store=st.integers(0, 2**STORE_BITS - 1), position=st.integers(0, 10**18 - 1))
def test_a_cursor_is_read_as_it_was_written(store: int, position: int) -> None:
    cursor = Cursor(store=store, position=position)

    assert parse_cursor(cursor.text) == cursor


def test_a_cursor_is_its_store_and_its_position() -> None:
    assert Cursor(store=0xABC, position=7).text == "0000000000000abc-7"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "-7",
        "abc-7",
        "0000000000000abc",
        "0000000000000abc-",
        "0000000000000ABC-7",
        "0000000000000abc-07",
        "0000000000000abc--7",
        "0000000000000abc-7 ",
        "0000000000000abc-7\n",
        "0000000000000abc-\u0661",
        "0000000000000abc-1000000000000000000",
    ],
)
def test_what_is_written_otherwise_is_no_cursor(text: str) -> None:
    assert parse_cursor(text) is None
