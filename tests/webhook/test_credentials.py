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


def test_an_answer_is_kept_without_any_of_the_values() -> None:
    assert headers(BEARER, "canary-of-another").masked(f"{BEARER}, canary-of-another".encode()) == b"***, ***"


def test_values_are_in_no_repr() -> None:
    assert "canary" not in repr(headers(BEARER))
    assert "canary" not in repr(headers(BEARER).masked)
