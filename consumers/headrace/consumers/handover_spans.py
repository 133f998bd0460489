"""The spans of hand-overs: begun when one is decided, ended when its transaction is committed."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from headrace.consumers.settled import Settled
from headrace.pipeline.tracing import Operation, Traces

_OPERATIONS: Final = {
    "retry": Operation.RETRY,
    "wait": Operation.WAIT,
    "dead": Operation.BURY,
    "hop": Operation.HOP,
}


def begun(traces: Traces, settled: Settled) -> Settled:
    """Begin the span of a hand-over, and name it in the record's headers.

    What is no job goes to the dead letters untouched: nothing is told of it.
    """
    handover, told = settled.handover, settled.transition
    if not traces.spans or handover is None or (told is not None and not told.job_type):
        return settled
    operation, size = _OPERATIONS[handover.kind], len(handover.value or b"")
    span = traces.sending(operation, handover.topic, handover.headers, size)
    return replace(settled, handover=handover._replace(span=span))


def end(landed: Iterable[Settled]) -> None:
    """End the spans of what has changed hands."""
    for settled in landed:
        if settled.handover is not None and settled.handover.span is not None:
            settled.handover.span.stored()
