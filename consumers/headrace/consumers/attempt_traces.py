"""The spans of a worker's attempts: begun when one starts, wherever it runs, ended with its result.

They are the worker's, not the handler's, so that a job whose process is killed has one too.
"""

from dataclasses import replace

from headrace.consumers.executors.contract import call_of
from headrace.consumers.outcomes import Attempted, GiveBack, HoldHere, Outcome
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.running import Call
from headrace.consumers.settled import Settled, StayHere
from headrace.pipeline.tracing import AttemptSpan, Ending, Received, Traces
from headrace.schemas import trace_context
from headrace.schemas.trace_context import TraceContext

INTERRUPTED = "interrupted"
"""The state of an attempt that was given back: its job is in none of its own by that."""


class AttemptTraces:
    """The open spans of one worker. Thread-safe: each attempt's is begun by one thread, then ended.

    Args:
        traces: Where they are told.
        worker: The worker's name.
    """

    def __init__(self, traces: Traces, worker: str) -> None:
        self._traces = traces
        self._worker = worker
        self._open: dict[tuple[Assignment, int], AttemptSpan] = {}

    def call_of(self, record: JobRecord) -> Call:
        """Begin an attempt's span; gives what is to be run, within it."""
        span = self._traces.attempt(_received(record, self._worker))
        self._open[record.place] = span
        return replace(call_of(record), trace=span.context)

    def settled(
        self,
        record: JobRecord,
        attempted: Attempted,
        result: Settled | StayHere | HoldHere | GiveBack,
    ) -> TraceContext | None:
        """End the span of an attempt; a record that is handed over goes on from there.

        Args:
            record: The job.
            attempted: How the attempt ended.
            result: What was decided. Of a job that is held here, to be tried again as if nothing
                had been, nothing is told.

        Returns:
            The span, for log lines; None when the job was not begun.
        """
        span = self._open.pop(record.place, None)
        if span is None:
            return None
        match result:
            case Settled(handover=handover):
                span.ended(_ending(result, attempted))
                if handover is not None and span.context is not None:
                    trace_context.advance(handover.headers, span.context)
            case StayHere(told=told):
                span.ended(_ending(told, attempted))
            case GiveBack():
                span.ended(Ending(INTERRUPTED, attempted.ended))
            case HoldHere():
                span.forget()
        return span.context

    def close(self) -> None:
        """End the spans of attempts that nobody will report any more."""
        for place in list(self._open):
            span = self._open.pop(place, None)
            if span is not None:
                span.ended(Ending(INTERRUPTED, 0))


def _received(record: JobRecord, worker: str) -> Received:
    job = record.headers
    return Received(
        job.extra,
        record.lane.topic,
        record.partition,
        record.offset,
        job.job_id,
        job.job_type,
        record.lane.queue,
        record.lane.priority,
        job.attempt,
        job.generation,
        len(record.payload),
        worker,
    )


def _ending(settled: Settled, attempted: Attempted) -> Ending:
    told = settled.transition
    assert told is not None
    return Ending(
        told.state,
        attempted.ended,
        told.reason,
        told.error_type,
        told.error_message,
        _traceback(attempted.outcome),
    )


def _traceback(outcome: Outcome) -> str:
    error = getattr(outcome, "error", None)
    return "" if error is None else error.traceback
