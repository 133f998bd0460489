"""Attempts: `attempt_violations`.

- An attempt never goes back: by the handlers' clocks no execution of a job begins with a lower
  attempt than one that began before. The same attempt again is a re-execution, or a snooze.
- An attempt exists on the lane: an execution outside ordered queues has a record there with its
  attempt; in ordered queues it has a record of its job.
- An attempt is charged for a reason: where there is an attempt n + 1 (a record or an execution of
  it), or a dead letter that gives up after attempt n, attempt n was executed, and one of these
  executions failed or never ended. That they all ended well or in a snooze charges the job for
  nothing; that there was none charges it for what others did.
- A death is charged to one job: of all jobs that one fault cut off in one worker, at most one is
  charged with the death (a transition with the error `ProcessDied`). More means that a whole window
  was blamed.

An attempt that failed because its worker was told to stop (it is cancelled, and logs that it
raised) must not be charged either, but is not told apart here from one that failed by itself.
Each violation counts once; jobs without a promise count nowhere here.
"""

from collections.abc import Iterator
from typing import Final

from headrace.console.proof.executions import Execution
from headrace.console.proof.findings import Example, about
from headrace.console.proof.joined import Job, Joined
from headrace.console.proof.records import Fault

_DIED: Final = "ProcessDied"
"""The error's type in transitions of attempts that ended with their process."""
_AFTER_AN_ATTEMPT: Final = frozenset({"exhausted", "timeout", "crash-loop", "too-old"})
"""Reasons to be dead that blame the last attempt."""


def attempts(joined: Joined) -> Iterator[Example]:
    """Find attempts that went back, came from nowhere, or were charged for nothing."""
    for job in joined.accepted():
        yield from _gone_back(job)
        yield from _from_nowhere(job)
        yield from _charged_for_nothing(job)
    yield from _blamed_together(joined)


def _gone_back(job: Job) -> Iterator[Example]:
    highest = 0
    for execution in job.executions:
        if execution.attempt < highest:
            yield about(job, f"attempt {execution.attempt} began after attempt {highest}")
        highest = max(highest, execution.attempt)


def _from_nowhere(job: Job) -> Iterator[Example]:
    if job.ordered and job.lane:
        return
    known = {record.attempt for record in job.lane}
    for attempt in sorted({each.attempt for each in job.executions} - known):
        yield about(job, f"attempt {attempt} began, but no record on the lane has it")


def _charged_for_nothing(job: Job) -> Iterator[Example]:
    seen = {each.attempt for each in (*job.lane, *job.tiers)}
    seen |= {each.attempt for each in job.executions}
    seen |= {each.attempt + 1 for each in job.dead if each.reason in _AFTER_AN_ATTEMPT}
    executed: dict[int, list[Execution]] = {}
    for execution in job.executions:
        executed.setdefault(execution.attempt, []).append(execution)
    for attempt in sorted(each for each in seen if each > 1):
        before = executed.get(attempt - 1)
        if before is None:
            yield about(job, f"attempt {attempt - 1} was charged and never began")
        elif not any(each.failed for each in before):
            yield about(job, f"attempt {attempt - 1} was charged and did not fail")


def _blamed_together(joined: Joined) -> Iterator[Example]:
    blamed: dict[tuple[int, int], list[tuple[Job, int]]] = {}
    for job in joined.accepted():
        charged = {each.attempt for each in job.transitions if each.error_type == _DIED}
        for attempt in sorted(charged):
            where = _cut_off(job, attempt, joined)
            if where is not None:
                blamed.setdefault(where, []).append((job, attempt))
    for (fault, worker), jobs in sorted(blamed.items()):
        for job, attempt in sorted(jobs, key=lambda each: each[0].id)[1:]:
            yield about(
                job,
                f"attempt {attempt} was charged with the death of worker {worker}, as were "
                f"{len(jobs) - 1} others",
                fault,
            )


def _cut_off(job: Job, attempt: int, joined: Joined) -> tuple[int, int] | None:
    """Give the fault and the worker that cut the last execution of an attempt off, if one did."""
    cut = [each for each in job.executions if each.attempt == attempt and each.how is None]
    if not cut:
        return None
    last = cut[-1]
    hits = [fault for fault in joined.faults if _hits(fault, last)]
    return (hits[0].number, last.worker) if hits else None


def _hits(fault: Fault, execution: Execution) -> bool:
    return execution.worker in fault.workers and execution.start < fault.ended_ns
