"""Whether what a schedule submits is a job of its pipeline."""

from collections.abc import Mapping
from typing import Any

from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.job import Job
from headrace.pipeline.job_types import JobType
from headrace.pipeline.queues import Queue
from headrace.pipeline.schedules.schedule import Schedule


def check_submits(
    schedule: Schedule,
    job: Job[Any],
    job_types: Mapping[str, JobType[..., ..., Any, Any]],
    queues: Mapping[str, Queue],
) -> None:
    """Refuse a job of another pipeline, and a priority that its queue does not have.

    Raises:
        DeclarationError: It is one.
    """
    known = job_types.get(job.job_type)
    if known is None or known.arguments is not job.codec:
        raise DeclarationError(
            f"job type {job.job_type!r} is not declared by this pipeline (declared: "
            f"{', '.join(sorted(job_types)) or 'none'})"
        )
    check_priority(schedule, job.policy.queue, queues)


def check_priority(schedule: Schedule, queue: str, queues: Mapping[str, Queue]) -> None:
    """Refuse a priority that a queue does not have.

    Raises:
        DeclarationError: It is one.
    """
    priorities = queues[queue].priorities
    if schedule.priority is not None and schedule.priority not in priorities:
        raise DeclarationError(
            f"queue {queue!r} has no priority {schedule.priority!r} "
            f"(it has: {', '.join(priorities)})"
        )
