import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.client.events import Message, messages


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        (b"data: one\n\n", [("one", None)]),
        (b"retry: 2000\n\nid: 7\nevent: task.succeeded\ndata: one\n\n", [("", 2000), ("one", None)]),
        (b"data: one\r\n\r\ndata:two\r\n\r\n", [("one", None), ("two", None)]),
        (b": \n\n: still there\ndata: one\n\n: \n\n", [("one", None)]),
        (b"data: one\ndata: two\n\n", [("one\ntwo", None)]),
        (b"data: cut off\n", []),
        (b"retry: soon\nsurprise: yes\nnothing\ndata: one\n\n", [("one", None)]),
        ("data: a\u2028b\u0085c\x0bd\n\n".encode(), [("a\u2028b\u0085c\x0bd", None)]),
    ],
    ids=[
        "one",
        "a time to wait first",
        "CR LF",
        "comments",
        "many lines",
        "cut off",
        "unknown fields",
        "no line ends but LF",
    ],
)
def test_a_stream_is_read_as_text_event_stream_says(
    sent: bytes, heard: Sequence[tuple[str, int | None]]
) -> None:
    assert list(messages([sent])) == [Message(data=data, retry=retry) for data, retry in heard]


@settings(deadline=None)
@given(
    texts=st.lists(st.text("a :\u0085\u2028\u20ac\N{GRINNING FACE}", min_size=1, max_size=9), max_size=5),
    cuts=st.lists(st.integers(0, 200), max_size=9),
)
def test_it_does_not_matter_where_the_network_cuts(texts: list[str], cuts: list[int]) -> None:
    sent = "".join(f"data: {text}\n\n" for text in texts).encode()
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]

    chunks = [sent[begin:end] for begin, end in itertools.pairwise(places)]

    assert [message.data for message in messages(chunks)] == texts
