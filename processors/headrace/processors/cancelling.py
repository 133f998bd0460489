"""Cancelling jobs: which ones, the orders, and what became of each.

Nothing here touches a job's record. An order on the control topic tells whoever has the job, or
reads it next, to drop it or to stop it; see `headrace.pipeline.orders`.
"""

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from headrace.pipeline.compacted import CompactedRecord, write_all
from headrace.pipeline.orders import MOST, cancel_records, kept_until, withdrawing_records
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, load
from headrace.pipeline.topology import Topology
from headrace.processors.errors import TooManyError
from headrace.processors.job_history import JobHistory
from headrace.processors.job_list import JobFilter, Listing
from headrace.processors.job_states import JobStates
from headrace.processors.job_view import JobSummary
from headrace.processors.reader import Progress
from headrace.schemas.states import JobState

UNFINISHED: Final = (JobState.DELAYED, JobState.QUEUED, JobState.RUNNING, JobState.RETRYING)
"""The states in which a job can be cancelled."""
WAIT: Final = timedelta(seconds=5)
"""How long `cancel` follows the jobs: an order is honoured within a second where the job is in
somebody's hands."""


class Became(StrEnum):
    """What became of a job that was to be cancelled."""

    CANCELLED = "cancelled"
    """It is cancelled: it was not run, or its attempt was stopped."""
    ORDERED = "ordered"
    """The order stands, and is honoured when the job is read next."""
    FINISHED = "finished"
    """It had ended already, or came to another end first; `state` tells which."""
    NOT_FOUND = "not-found"
    """Nothing that Kafka keeps tells of it: no order was given."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of one job.

    Attributes:
        job_id: The job.
        became: What became of it.
        state: Its last known state, as `JobState`; None when nothing is known of it.
        detail: What that means, for people.
    """

    job_id: str
    became: Became
    state: str | None
    detail: str

    def as_json(self) -> dict[str, object]:
        """Keys: `job_id`, `outcome`, `state`, `detail`."""
        return {
            "job_id": self.job_id,
            "outcome": self.became.value,
            "state": self.state,
            "detail": self.detail,
        }


def cancel(
    pipeline: Pipeline,
    job_ids: Iterable[str],
    *,
    by: str,
    reason: str = "",
    kafka: KafkaSettings | None = None,
    wait: timedelta = WAIT,
    progress: Progress | None = None,
) -> tuple[Cancellation, ...]:
    """Cancel jobs, and say what became of each.

    Delayed, queued and retrying jobs are not started any more; running ones are stopped: a
    coroutine is cancelled, a child process is killed, a thread sees it in `context.cancelled`.
    A cancelled job is not retried. Orders about jobs that end otherwise are taken back.

    Args:
        pipeline: The declaration; handlers are not needed.
        job_ids: The jobs.
        by: Who wants it; stands in the jobs' history.
        reason: Why; likewise.
        kafka: Where Kafka is; from the environment when not given.
        wait: How long to follow the jobs to their ends.
        progress: Told how far the reading is.

    Returns:
        One for each job, in the order given.

    Raises:
        TooManyError: More jobs than workers keep orders of.
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The pipeline's topics do not exist, or Kafka refused.
    """
    ids = tuple(dict.fromkeys(job_ids))
    if len(ids) > MOST:
        raise TooManyError(
            f"{len(ids):,} jobs are to be cancelled; workers keep the newest {MOST:,} orders in "
            "memory: cancel fewer at a time (--type, --queue, --older-than), or pause what submits"
        )
    kafka = kafka or load(KafkaSettings)
    states = JobStates(pipeline, kafka, ids, progress)
    states.read()
    alive = [job_id for job_id in ids if states[job_id] is not None and not states.is_over(job_id)]
    write_all(kafka, _orders(pipeline.topology, states, alive, by=by, reason=reason))
    if alive:
        states.follow(wait, lambda: all(states.is_over(job_id) for job_id in alive))
    found = tuple(_told(job_id, states[job_id]) for job_id in ids)
    _take_back(pipeline, kafka, found, alive)
    return found


def candidates(
    pipeline: Pipeline,
    wanted: JobFilter,
    *,
    created_before: int | None = None,
    kafka: KafkaSettings | None = None,
    progress: Progress | None = None,
) -> Listing:
    """Find the unfinished jobs of a filter: those that `cancel` could cancel.

    Args:
        pipeline: The declaration; handlers are not needed.
        wanted: Which; a state in it must be one of `UNFINISHED`.
        created_before: Epoch milliseconds; None takes any.
        kafka: Where Kafka is; from the environment when not given.
        progress: Told how far the reading is.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The pipeline's topics do not exist, or Kafka refused.
    """
    asked = JobFilter(None, wanted.job_type, wanted.queue, wanted.tenant, wanted.since)
    history = JobHistory(pipeline, kafka or load(KafkaSettings), progress)
    listing = history.listing(asked, _ALL)
    states = UNFINISHED if wanted.state is None else (wanted.state,)
    jobs = (job for job in listing.jobs if job.state in states)
    if created_before is not None:
        jobs = (job for job in jobs if job.created < created_before)
    return Listing(tuple(jobs), listing.back_to)


_ALL: Final = 2**31
"""More jobs than a listing ever holds."""


def _orders(
    topology: Topology, states: JobStates, job_ids: Iterable[str], *, by: str, reason: str
) -> Iterator[CompactedRecord]:
    now = time.time_ns() // 1_000_000
    for job_id in job_ids:
        summary = states[job_id]
        until = kept_until(now, None if summary is None else summary.due)
        yield from cancel_records(topology, (job_id,), by=by, reason=reason, at=now, until=until)


def _take_back(
    pipeline: Pipeline,
    kafka: KafkaSettings,
    found: Iterable[Cancellation],
    ordered: Collection[str],
) -> None:
    """An order about a job that died first would hit its replay."""
    gone = [
        each.job_id for each in found if each.became is Became.FINISHED and each.job_id in ordered
    ]
    write_all(kafka, withdrawing_records(pipeline.topology, gone))


def _told(job_id: str, summary: JobSummary | None) -> Cancellation:
    if summary is None:
        detail = "nothing that Kafka keeps tells of it: check the id and the pipeline"
        return Cancellation(job_id, Became.NOT_FOUND, None, detail)
    state = JobState(summary.state)
    if state is JobState.CANCELLED:
        return Cancellation(job_id, Became.CANCELLED, state, summary.reason or "")
    if state.is_final:
        return Cancellation(job_id, Became.FINISHED, state, "it has ended already")
    return Cancellation(job_id, Became.ORDERED, state, _WAITS[state])


_WAITS: Final = {
    JobState.DELAYED: "dropped when a scheduler reads it next, before it is due",
    JobState.RETRYING: "dropped when a scheduler reads it next, before its next attempt",
    JobState.QUEUED: "dropped when a worker reads it",
    JobState.RUNNING: "told to stop; a thread stops when its handler looks at context.cancelled, "
    "and no failure of it is retried",
}
