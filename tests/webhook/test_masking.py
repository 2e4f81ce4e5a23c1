import html
import json
import random
import string
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.webhook.masking import Masking

BEARER = b"Bearer canary/of+the-gateway=="
BASIC = "Basic dXNl/cjpw+YXNz/d29y"
WORDS = "Bearer correct horse battery"
SHORT = 'key="abc123" t=9'

Encode = Callable[[str], str]

WRITTEN_BY: Final[Mapping[str, Encode]] = {
    "itself": str,
    "json": lambda value: json.dumps(value)[1:-1],
    "php": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "json by code": lambda value: json.dumps(value)[1:-1].replace("+", "\\u002b").replace("=", "\\u003D"),
    "url": quote,
    "component": lambda value: quote(value, safe=""),
    "form": quote_plus,
    "html": html.escape,
    "html by code": lambda value: "".join(f"&#x{ord(character):04X};" for character in value),
    "json in json": lambda value: json.dumps(json.dumps(value)[1:-1])[1:-1],
    "json in html": lambda value: html.escape(json.dumps(value)[1:-1]),
    "html in json": lambda value: json.dumps(html.escape(value)).replace("&", "\\u0026")[1:-1],
    "url in url": lambda value: quote(quote(value)),
}


def masked(value: str, answer: str) -> str:
    return Masking([value.encode()])(answer.encode()).decode()


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"nothing of it", b"nothing of it"),
        (b"", b""),
        (b"<Bearer canary/of+the-gateway==>", b"<***>"),
        (b"twice: Bearer canary/of+the-gateway==, Bearer canary/of+the-gateway==.", b"twice: ***, ***."),
        (b"canary/of+the-gateway==", b"***"),
        (b"canary/of+the-gateway", b"***"),
        (b'"canary\\/of+the-gateway=="', b'"***"'),
        (b'"Bearer canary\\u002Fof\\u002bthe-gateway=="', b'"***"'),
        (b"b'Bearer canary\\x2fof+the-gateway=='", b"b'***'"),
        (b"canary%2Fof%2Bthe-gateway%3D%3D", b"***"),
        (b"Bearer+canary%2fof%2bthe-gateway%3d%3d", b"***"),
        (b"&quot;Bearer&#32;canary&#x2F;of&plus;the-gateway&equals;&#61;&quot;", b"&quot;***&quot;"),
        (rb"{\"authorization\":\"Bearer canary\\\/of+the-gateway==\"}", rb"{\"authorization\":\"***\"}"),
        (b"the-gateway, the gate, canary.", b"***, the gate, canary."),
        (
            b"a \\ of 100 %, &c. &nosuch; &#233; &#xe9; \\u4e2d",
            b"a \\ of 100 %, &c. &nosuch; &#233; &#xe9; \\u4e2d",
        ),
    ],
)
def test_a_text_is_kept_without_the_value_however_it_is_spelled(answer: bytes, kept: bytes) -> None:
    assert Masking([BEARER])(answer) == kept


@pytest.mark.parametrize("value", [BASIC, WORDS, SHORT, 'Digest "quoted\\and\\slashed" & <more> 100%'])
@pytest.mark.parametrize("spelled", WRITTEN_BY.values(), ids=WRITTEN_BY.keys())
def test_a_value_is_left_out_whole_by_whatever_wrote_it(value: str, spelled: Encode) -> None:
    assert masked(value, f"<{spelled(value)}>") == "<***>"


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"cut in the middle: Bearer canary/of+th", b"cut in the middle: ***"),
        (b"cut in the middle: the-gate", b"cut in the middle: ***"),
        (b"cut early: Bea", b"cut early: Bea"),
        (b"cut behind an escape: canary\\/", b"cut behind an escape: ***"),
        (b"cut within an escape: canary\\", b"cut within an escape: ***"),
        (b"cut within an escape: canary\\u00", b"cut within an escape: ***"),
        (b"cut within an escape: Bearer%20canary%2", b"cut within an escape: ***"),
        (b"cut within an escape: Bearer&#32;canary&#x2", b"cut within an escape: ***"),
        (b"cut within an escape: Bearer canary&so", b"cut within an escape: ***"),
        (b"cut within two: Bearer%20canary%26so", b"cut within two: ***"),
    ],
)
def test_what_was_cut_off_in_the_middle_of_a_value_is_left_out(answer: bytes, kept: bytes) -> None:
    assert Masking([BEARER])(answer) == kept


def test_every_value_is_left_out_the_longest_first() -> None:
    both = Masking([b"canary-one", b"canary-one-and-more"])

    assert both(b"canary-one-and-more canary-one") == b"*** ***"


def test_values_that_overlap_are_left_out_whole() -> None:
    both = Masking([b"canary-one-two", b"one-two-canary"])

    assert both(b"<canary-one-two-canary>") == b"<***>"


def test_a_value_too_short_to_be_a_secret_leaves_answers_alone() -> None:
    assert Masking([b"on"])(b"on and on") == b"on and on"
    assert Masking([SHORT.encode()])(b"abc123") == b"abc123"


def in_json(dice: random.Random) -> Encode:
    spelled: tuple[Encode, ...] = (
        lambda character: "\\" + character,
        lambda character: f"\\u{ord(character):04x}",
        lambda character: f"\\u{ord(character):04X}",
        lambda character: f"\\x{ord(character):02x}",
    )
    return lambda text: "".join(
        dice.choice(spelled[character.isalnum() :])(character)
        if character in '\\"' or dice.random() < 0.5
        else character
        for character in text
    )


def in_url(dice: random.Random) -> Encode:
    spelled: tuple[Encode, ...] = (
        lambda character: f"%{ord(character):02x}",
        lambda character: f"%{ord(character):02X}",
    )
    return lambda text: "".join(
        dice.choice(spelled)(character) if character in "%+" or dice.random() < 0.5 else character
        for character in text.replace(" ", dice.choice(" +"))
    )


def in_html(dice: random.Random) -> Encode:
    spelled: tuple[Encode, ...] = (
        html.escape,
        lambda character: f"&#{ord(character)};",
        lambda character: f"&#x{ord(character):x};",
        lambda character: f"&#X{ord(character):05X};",
    )
    return lambda text: "".join(
        dice.choice(spelled[character != "&" :])(character)
        if character == "&" or dice.random() < 0.5
        else character
        for character in text
    )


VALUES = st.text(string.digits + string.ascii_letters + string.punctuation + " ", min_size=12, max_size=40)
WRITERS = st.lists(st.sampled_from([in_json, in_url, in_html]), max_size=2)


def written(writers: Sequence[Callable[[random.Random], Encode]], dice: random.Random) -> Encode:
    """By each of the writers in turn."""
    return lambda text: reduce(lambda so_far, writer: writer(dice)(so_far), writers, text)


@given(value=VALUES.filter(lambda value: value == value.strip()), writers=WRITERS, seed=st.integers(0, 2**32))
def test_no_spelling_within_another_keeps_a_value(
    value: str, writers: list[Callable[[random.Random], Encode]], seed: int
) -> None:
    spelled = written(writers, random.Random(seed))(value)

    assert masked(value, f"\n{spelled}\n") == "\n***\n"


@given(
    value=VALUES.filter(lambda value: value == value.strip()),
    writers=WRITERS,
    seed=st.integers(0, 2**32),
    left=st.integers(0, 500),
)
def test_no_spelling_keeps_what_was_cut_off_after_a_value_has_begun(
    value: str, writers: list[Callable[[random.Random], Encode]], seed: int, left: int
) -> None:
    beginning = written(writers, random.Random(seed))(value[:4])
    spelled = written(writers, random.Random(seed))(value)

    cut = spelled[: max(left, len(beginning))]

    assert masked(value, f"\n{cut}") == "\n***" or not spelled.startswith(beginning)


def test_the_work_grows_with_the_text_and_not_with_what_is_in_it() -> None:
    """Not with the ways in which a text can be read: there are 2**2000 here for a program that tries them all."""
    masking = Masking([b"\\" * 2_000 + b"%" * 2_000 + b"!"])

    for text in (
        b"\\" * 4_096,
        b"%25" * 1_365,
        b"&amp;" * 819,
        b"\\u0025" * 682,
        b"\\" * 2_000 + b"%" * 2_000,
    ):
        assert masking(text + b"?") == text + b"?"
