"""A job's trace survives every hop, and what is no trace context is nobody's."""

import pytest

from headrace.schemas import trace_context
from headrace.schemas.trace_context import TraceContext

SUBMITTED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LATER = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


def test_the_first_hop_is_the_origin_for_the_life_of_the_job() -> None:
    written: list[tuple[str, bytes | None]] = [("ce_id", b"1")]
    trace_context.advance(written, TraceContext(SUBMITTED, "a=1"))
    trace_context.advance(written, TraceContext(LATER, "b=2"))
    found = dict(written)
    assert found["traceparent"] == LATER.encode()
    assert found["tracestate"] == b"b=2"
    assert found["ce_traceparent"] == SUBMITTED.encode()
    assert found["ce_tracestate"] == b"a=1"
    assert trace_context.origin(found) == (SUBMITTED, "a=1")
    assert trace_context.current(found) == (LATER, "b=2")


def test_what_a_foreign_producer_wrote_becomes_the_origin() -> None:
    written: list[tuple[str, bytes | None]] = [("traceparent", SUBMITTED.encode())]
    trace_context.advance(written, TraceContext(LATER))
    assert dict(written) == {
        "traceparent": LATER.encode(),
        "ce_traceparent": SUBMITTED.encode(),
    }


def test_an_origin_alone_is_where_the_job_is() -> None:
    assert trace_context.current({"ce_traceparent": SUBMITTED.encode()}) == (SUBMITTED, "")


def test_the_other_headers_keep_their_order_and_the_last_one_stays_last() -> None:
    written = [("ce_id", b"1"), ("traceparent", b"x"), ("own", None), ("headrace-hopped", b"7")]
    trace_context.advance(written, TraceContext(LATER))
    names = [name for name, _ in written]
    assert [name for name in names if "trace" not in name] == ["ce_id", "own", "headrace-hopped"]
    assert names[-1] == "headrace-hopped"
    assert names.count("traceparent") == 1


@pytest.mark.parametrize(
    "value",
    [
        b"",
        None,
        b"00-1",
        b"\xff\xfe",
        SUBMITTED.upper().encode(),
        SUBMITTED.replace("00-", "ff-", 1).encode(),
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
    ],
)
def test_what_is_no_trace_context_is_none(value: bytes | None) -> None:
    assert trace_context.current({"traceparent": value}) is None
    assert trace_context.log_fields_of([("traceparent", value)]) == {}


def test_a_tracestate_beyond_the_standard_s_bound_is_left_out() -> None:
    found: dict[str, bytes | None] = {
        "traceparent": LATER.encode(),
        "tracestate": b"a=" + b"1" * 600,
    }
    assert trace_context.current(found) == (LATER, "")


def test_a_log_line_has_the_ids_of_trace_and_span() -> None:
    assert trace_context.log_fields(TraceContext(SUBMITTED)) == {
        "trace": "0af7651916cd43dd8448eb211c80319c",
        "span": "b7ad6b7169203331",
    }
