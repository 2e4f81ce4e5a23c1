import pytest

from relay.domain.traces import TraceContext, new_trace, parse_trace_context

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_names_its_trace_its_span_and_whether_it_is_sampled() -> None:
    context = parse_trace_context([PARENT], [])

    assert context == TraceContext(traceparent=PARENT)
    assert (context.trace_id, context.span_id, context.sampled) == (TRACE, SPAN, True)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f" 00-{TRACE}-{SPAN}-01\t", PARENT),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"00-{TRACE}-{SPAN}-fd", PARENT),
        (f"cc-{TRACE}-{SPAN}-01", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-bring", PARENT),
    ],
)
def test_a_traceparent_is_kept_in_the_words_of_version_00(given: str, kept: str) -> None:
    assert parse_trace_context([given], []) == TraceContext(traceparent=kept)


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        [PARENT, PARENT],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-0G"],
        [f"00-{TRACE}-{SPAN}-1"],
        [f"00-{TRACE}-{SPAN}"],
        [f"00-{TRACE[1:]}-{SPAN}-01"],
        [f"{PARENT}-more"],
        [f"cc-{TRACE}-{SPAN}-01more"],
        [f"{PARENT},{PARENT}"],
        [f"00-{TRACE}-{SPAN}-01\n"],
        [f"00-{'٣' * 32}-{SPAN}-01"],
    ],
)
def test_a_malformed_traceparent_is_as_if_it_were_not_there(parents: list[str]) -> None:
    assert parse_trace_context(parents, ["vendor=1"]) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([], None),
        ([""], None),
        (["vendor=1"], "vendor=1"),
        (["vendor=1,tenant@system=a b"], "vendor=1,tenant@system=a b"),
        (["a=1", "b=2"], "a=1,b=2"),
        ([" a=1 , ,\tb=2\t"], "a=1,b=2"),
        ([f"{'k' * 256}=v"], f"{'k' * 256}=v"),
        (
            [",".join(f"k{number}=1" for number in range(32))],
            ",".join(f"k{number}=1" for number in range(32)),
        ),
    ],
)
def test_a_tracestate_is_handed_on(given: list[str], kept: str | None) -> None:
    assert parse_trace_context([PARENT], given) == TraceContext(traceparent=PARENT, tracestate=kept)


@pytest.mark.parametrize(
    "given",
    [
        "vendor",
        "=1",
        "Vendor=1",
        "vendor=",
        "vendor=a=b",
        "vendor=a\nb",
        "vendor=é",
        "a=1,a=2",
        f"{'k' * 257}=v",
        f"k={'v' * 257}",
        "tenant@1system=1",
        ",".join(f"k{number}=1" for number in range(33)),
    ],
)
def test_a_malformed_tracestate_goes_alone(given: str) -> None:
    assert parse_trace_context([PARENT], ["good=1", given]) == TraceContext(traceparent=PARENT)


def test_a_long_tracestate_loses_its_longest_members_first_and_then_its_last() -> None:
    long = f"long={'x' * 200}"
    short = [f"k{number}={'v' * 97}" for number in range(6)]

    context = parse_trace_context([PARENT], [",".join([short[0], long, *short[1:]])])

    assert context is not None
    assert context.tracestate == ",".join(short[:5])
    assert len(context.tracestate) <= 512


def test_a_tracestate_of_long_members_alone_is_dropped() -> None:
    members = ",".join(f"k{number}={'v' * 200}" for number in range(3))

    assert parse_trace_context([PARENT], [members]) == TraceContext(traceparent=PARENT)


def test_another_span_of_a_trace_keeps_its_trace_its_flags_and_its_state() -> None:
    context = TraceContext(traceparent=f"00-{TRACE}-{SPAN}-03", tracestate="vendor=1")

    child = context.with_span("00f067aa0ba902b7")

    assert child == TraceContext(traceparent=f"00-{TRACE}-00f067aa0ba902b7-03", tracestate="vendor=1")


@pytest.mark.parametrize("sampled", [True, False])
def test_a_new_trace_says_whether_it_is_sampled(*, sampled: bool) -> None:
    context = new_trace(0xABC, 0xDEF, sampled=sampled)

    assert parse_trace_context([context.traceparent], []) == context
    assert context.sampled is sampled
    assert (int(context.trace_id, 16), int(context.span_id, 16)) == (0xABC, 0xDEF)


def test_a_new_trace_is_never_named_by_zeros_alone() -> None:
    context = new_trace(0, 0, sampled=True)

    assert parse_trace_context([context.traceparent], []) == context
