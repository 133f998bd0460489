"""Executions out of the handlers' logs: each start with its end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from headrace.console.proof.records import ExecutionEvent, What


class Execution(NamedTuple):
    """One execution of a handler. Times in nanoseconds since the Unix epoch."""

    start: int
    attempt: int
    end: int
    """0 when it never ended: its process died."""
    how: What | None
    """How it ended; None when it never did."""
    pid: int
    worker: int

    @property
    def failed(self) -> bool:
        """Whether it may have cost an attempt: it raised, or never ended."""
        return self.how is None or self.how is What.RAISE


@dataclass(frozen=True, slots=True)
class Executions:
    """All of a run.

    Attributes:
        by_job: Those of each job, by start.
        broken: Ends of executions that had not begun.
    """

    by_job: Mapping[str, list[Execution]]
    broken: int


def executions_of(events: Iterable[ExecutionEvent], known: Iterable[str]) -> Executions:
    """Pair starts with ends: an end belongs to the first open start of its job, attempt, process.

    There may be several: a process that lost a partition and got it back runs a job beside itself.

    Args:
        events: All lines of all logs, in any order.
        known: Ids of jobs, to be kept once each.
    """
    ids = {job_id: job_id for job_id in known}
    by_job: dict[str, list[Execution]] = {}
    broken = 0
    lines = sorted(_compact(event, ids) for event in events)
    for (job_id, attempt, pid), group in groupby(lines, key=lambda line: line[:3]):
        found, bad = _pairs(attempt, pid, group)
        by_job.setdefault(job_id, []).extend(found)
        broken += bad
    for executions in by_job.values():
        executions.sort(key=lambda each: (each.start, each.attempt, each.pid))
    return Executions(by_job, broken)


_Line = tuple[str, int, int, int, int, bool, What, int]
"""Job, attempt, pid, then what orders them: time, monotonic time, whether it is an end."""


def _compact(event: ExecutionEvent, known: Mapping[str, str]) -> _Line:
    is_end = event.what is not What.START
    return (
        known.get(event.job_id, event.job_id), event.attempt, event.pid, event.monotonic_ns,
        event.at_ns, is_end, event.what, event.worker,
    )  # fmt: skip


def _pairs(attempt: int, pid: int, lines: Iterable[_Line]) -> tuple[list[Execution], int]:
    found: list[Execution] = []
    broken = 0
    for *_, at, is_end, what, worker in lines:
        if not is_end:
            found.append(Execution(at, attempt, 0, None, pid, worker))
            continue
        begun = next((i for i, each in enumerate(found) if each.how is None), None)
        if begun is None:
            broken += 1
        else:
            found[begun] = found[begun]._replace(end=at, how=what)
    return found, broken
