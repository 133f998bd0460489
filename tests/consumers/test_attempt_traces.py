"""An attempt's span ends once, with what became of the job, however that came about."""

from dataclasses import replace
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from headrace.consumers import handover_spans
from headrace.consumers.attempt_traces import AttemptTraces
from headrace.consumers.execution import settle
from headrace.consumers.outcomes import (
    Attempted,
    Cancelled,
    Died,
    Failed,
    Interrupted,
    Outcome,
    Snoozed,
    Succeeded,
    TimedOut,
    Unavailable,
    error_info,
)
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.settled import Rules, Settled
from headrace.pipeline import Pipeline, Queue, Retry
from headrace.pipeline.telemetry.otel_traces import OtelTraces
from headrace.schemas import trace_context
from headrace.schemas.headers import JobHeaders

ORIGIN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
shop = Pipeline("shop", queues=[Queue("default"), Queue("strict", ordered=True)])
ERROR = error_info(ValueError("no"))


@shop.job("a.b", retry=Retry(max_attempts=2))
def handler() -> None:
    """Never run here."""


class World:
    """One worker's attempts, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = OtelTraces(apart=False, provider=provider)
        self.attempts = AttemptTraces(self.traces, "worker-1")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def attempt(self, outcome: Outcome, *, queue: str = "default", attempt: int = 1) -> object:
        """Run one attempt to its end; gives what was decided."""
        job = record(queue, attempt)
        call = self.attempts.call_of(job)
        assert call.trace is not None
        assert call.trace.trace_id == trace_context.TraceContext(ORIGIN).trace_id
        attempted = Attempted(outcome, 0, 1)
        rules = Rules(
            job.lane, shop.topology, shop.job_types, "worker-1", ordered=queue == "strict"
        )
        decided = settle(job, attempted, rules)
        assert self.attempts.settled(job, attempted, decided) == call.trace
        return decided


def record(queue: str, attempt: int) -> JobRecord:
    lane = next(lane for lane in shop.topology.lanes() if lane.queue == queue)
    extra = (("traceparent", ORIGIN.encode()),)
    job = JobHeaders("j1", "a.b", "/headrace/shop", 0, lane.topic, attempt=attempt, extra=extra)
    return JobRecord(job, b"k", b"", lane, 2, 40, Assignment(lane.topic, 2, 1), handler, 9.0)


@pytest.mark.parametrize(
    ("outcome", "attempt", "state", "error"),
    [
        (Succeeded(), 1, "succeeded", None),
        (Failed(ERROR), 1, "retrying", "ValueError"),
        (Failed(ERROR), 2, "dead", "ValueError"),
        (Snoozed(timedelta(seconds=1)), 1, "retrying", None),
        (Died("SIGKILL"), 2, "dead", "ProcessDied"),
        (TimedOut(9.0), 2, "dead", "TimedOut"),
        (Cancelled("ordered"), 1, "cancelled", None),
        (Interrupted(), 1, "interrupted", None),
    ],
)
def test_it_tells_what_the_job_came_to(
    outcome: Outcome, attempt: int, state: str, error: str | None
) -> None:
    world = World()
    world.attempt(outcome, attempt=attempt)
    (span,) = world.spans
    told = dict(span.attributes or {})
    assert told["headrace.job.state"] == state
    assert told.get("error.type") == error
    failed = span.status.status_code is StatusCode.ERROR
    assert failed == (error is not None)


def test_an_attempt_that_was_none_has_no_span() -> None:
    world = World()
    world.attempt(Unavailable(ERROR))
    assert world.spans == []
    assert world.traces._here == {}


def test_what_is_handed_over_goes_on_from_the_attempt() -> None:
    world = World()
    decided = world.attempt(Failed(ERROR))
    assert isinstance(decided, Settled)
    begun = handover_spans.begun(world.traces, decided)
    handover_spans.end([begun])
    process, retry = world.spans
    assert retry.name == "retry shop.delay.soon"
    assert process.context is not None
    assert retry.parent is not None
    assert retry.parent.span_id == process.context.span_id
    assert begun.handover is not None
    found = dict(begun.handover.headers)
    assert found["ce_traceparent"] == ORIGIN.encode()
    written = trace_context.current(found)
    assert written is not None
    assert retry.context is not None
    assert written.span_id == f"{retry.context.span_id:016x}"


def test_a_head_that_waits_in_place_has_ended_this_attempt() -> None:
    world = World()
    world.attempt(Failed(ERROR), queue="strict")
    (span,) = world.spans
    assert (span.attributes or {})["headrace.job.state"] == "retrying"


def test_what_is_no_job_goes_to_the_dead_letters_untouched() -> None:
    world = World()
    decided = world.attempt(Failed(ERROR), attempt=2)
    assert isinstance(decided, Settled)
    assert decided.transition is not None
    foreign = replace(decided, transition=decided.transition._replace(job_type=""))
    assert handover_spans.begun(world.traces, foreign) is foreign


def test_attempts_that_nobody_reports_end_with_their_worker() -> None:
    world = World()
    world.attempts.call_of(record("default", 1))
    world.attempts.close()
    (span,) = world.spans
    assert (span.attributes or {})["headrace.job.state"] == "interrupted"
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time >= span.start_time
