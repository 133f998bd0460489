"""Log lines of attempts that did not go well: whoever watches a worker should see them."""

from collections.abc import Iterable
from typing import Final

import structlog

from headrace.consumers.settled import Settled
from headrace.schemas.headers import format_time
from headrace.schemas.states import JobState
from headrace.schemas.trace_context import TraceContext, log_fields, log_fields_of

_LOG = structlog.get_logger("headrace.jobs")
_TOLD: Final = (JobState.RETRYING, JobState.DEAD, JobState.CANCELLED)


def tell(
    settled: Settled,
    written: Iterable[tuple[str, bytes | None]] = (),
    span: TraceContext | None = None,
) -> None:
    """Say that an attempt failed and when the next one is due, or that the job is over by that.

    What the handler asked for itself (`Snooze`) is told at debug.

    Args:
        settled: What became of it.
        written: Headers of the job's record, for the trace that it belongs to.
        span: Of the attempt, if it has one.
    """
    transition = settled.transition
    if transition is None or transition.state not in _TOLD:
        return
    known = {
        "job": transition.job_id,
        "type": transition.job_type,
        "attempt": transition.attempt,
        "lane": transition.lane,
        "error": f"{transition.error_type}: {transition.error_message}",
        "seconds": settled.seconds,
        **(log_fields(span) or log_fields_of(written)),
    }
    if transition.state == JobState.DEAD:
        _LOG.error("job is dead", reason=transition.reason, **known)
    elif transition.state == JobState.CANCELLED:
        known.pop("error")
        _LOG.info("job is cancelled", reason=transition.reason, **known)
    elif transition.error_type is None:
        _LOG.debug("job waits", due=format_time(transition.due or 0), **known)
    else:
        _LOG.warning("attempt failed", due=format_time(transition.due or 0), **known)
