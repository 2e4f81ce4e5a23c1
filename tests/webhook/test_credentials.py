import pytest

from relay.domain.clients import CallbackHeader
from relay.webhook.credentials import OriginHeaders

BEARER = "Bearer canary/of+the-gateway=="


def headers(*values: str) -> OriginHeaders:
    return OriginHeaders(
        [
            CallbackHeader(origin="https://hooks.test", name=f"x-{number}", value=value)
            for number, value in enumerate(values)
        ]
    )


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"nothing of it", b"nothing of it"),
        (b"", b""),
        (b"<Bearer canary/of+the-gateway==>", b"<***>"),
        (b"twice: Bearer canary/of+the-gateway==, Bearer canary/of+the-gateway==.", b"twice: ***, ***."),
        (b'"canary\\/of+the-gateway=="', b'"canary\\/of+***=="'),
        (b"canary%2Fof%2Bthe-gateway%3D%3D", b"canary%2Fof%2B***%3D%3D"),
        (b"cut in the middle: Bearer canary/of+th", b"cut in the middle: ***"),
        (b"cut in the middle: the-gate", b"cut in the middle: ***"),
        (b"cut early: Bea", b"cut early: Bea"),
    ],
)
def test_an_answer_is_kept_without_the_value_however_it_is_spelled(answer: bytes, kept: bytes) -> None:
    assert headers(BEARER).masked(answer) == kept


def test_every_value_is_left_out_the_longest_first() -> None:
    both = headers("canary-one", "canary-one-and-more")

    assert both.masked(b"canary-one-and-more canary-one") == b"*** ***"


def test_a_value_too_short_to_be_a_secret_leaves_answers_alone() -> None:
    assert headers("on").masked(b"on and on") == b"on and on"


def test_values_are_in_no_repr() -> None:
    assert "canary" not in repr(headers(BEARER))
