"""Rows of the store as they are written and read, column by column."""

from typing import NamedTuple

from headrace.processors.job_events import JobEvent, place_of
from headrace.processors.job_view import JobSummary


class JobRow(NamedTuple):
    """A job's current state, with where its record can be read. Times in epoch milliseconds."""

    job_id: str
    order_key: bytes
    job_type: str
    state: str
    lane: str
    queue: str
    priority: str
    tenant: str | None
    ordering_key: str | None
    attempt: int
    generation: int
    created: int
    updated: int
    due: int | None
    duration: int | None
    worker: str | None
    reason: str | None
    error_type: str | None
    error_message: str | None
    topic: str
    partition: int
    offset: int

    def summary(self) -> JobSummary:
        """The row as the views show it."""
        return JobSummary(
            self.job_id,
            self.job_type,
            self.state,
            self.lane,
            self.queue or None,
            self.priority or None,
            self.tenant,
            self.ordering_key,
            self.attempt,
            self.generation,
            self.created,
            self.updated,
            self.due,
            self.duration,
            self.worker,
            self.reason,
            self.error_type,
            self.error_message,
        )


class EventRow(NamedTuple):
    """One thing that happened to a job. Times in epoch milliseconds."""

    job_id: str
    order_key: bytes
    told_by: str
    state: str
    topic: str
    partition: int
    offset: int
    attempt: int
    step: int
    generation: int
    time: int
    started: int | None
    ended: int | None
    due: int | None
    worker: str | None
    reason: str | None
    error_type: str | None
    error_message: str | None
    progress: float | None
    progress_text: str | None

    def event(self) -> JobEvent:
        """The row as the views show it."""
        return JobEvent(
            self.told_by,
            self.state,
            place_of(self.topic, self.partition, self.offset),
            self.attempt,
            self.step,
            self.generation,
            self.time,
            *self[11:],
        )


class ResultRow(NamedTuple):
    """What the handler of a job returned in the attempt that an event tells of."""

    job_id: str
    order_key: bytes
    result: bytes | None
    claim: str | None
