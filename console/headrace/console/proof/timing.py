"""Due times: `early`, and lateness.

An execution is early when its handler's clock, at its first statement, had not reached a time that
the job had to wait for:

- the due time with which it was submitted;
- every due time in the headers of the job's records up to the step it ran from: of its lane record,
  and of the delay-tier records before it. Looking at the latter too finds a release that lost or
  changed the header;
- in ordered queues, where jobs wait in place: the due time that was told with the attempt before
  (or with the snooze before, of the same attempt). When an attempt was repeated after a crash and
  so was told twice, the earlier due time counts, since it cannot be seen which of them was kept.

Equal is not early: due times are whole milliseconds. Every execution counts, repetitions included.
Jobs without a promise count nowhere here.

Lateness is start less the latest of those times, over first executions that had to wait. So it
holds everything: the wait in the scheduler, the queue before the job, and the faults.
"""

from collections.abc import Iterator, Sequence

from headrace.console.proof.findings import Example, Lateness, about
from headrace.console.proof.joined import MS, Job, Joined, Ran


def early(joined: Joined) -> Iterator[Example]:
    """Find executions that began before they were due."""
    for job in joined.accepted():
        for ran in job.ran() if _waits(job) else ():
            due = due_of(job, ran)
            missing = due * MS - ran.execution.start
            if missing > 0:
                yield about(
                    job,
                    f"attempt {ran.execution.attempt} began {missing / MS:.3f} ms early",
                    due=due,
                    began_ns=ran.execution.start,
                )


def due_of(job: Job, ran: Ran) -> int:
    """Give the latest time that an execution had to wait for, in epoch ms; 0 for none."""
    dues = [job.submission.due]
    if ran.record is not None:
        step = ran.record.step
        dues += [each.due for each in (*job.lane, *job.tiers) if each.step <= step]
    if job.ordered:
        dues.append(_told_before(job, ran))
    return max(dues)


def lateness(joined: Joined) -> Lateness:
    """Say how long after their due time executions began."""
    found: list[float] = []
    for job in joined.accepted():
        for turn in job.turns() if _waits(job) else ():
            due = due_of(job, turn[0])
            if due:
                found.append(turn[0].execution.start / MS - due)
    found.sort()
    return Lateness(_quantile(found, 0.5), _quantile(found, 0.99), _quantile(found, 1.0))


def _waits(job: Job) -> bool:
    return bool(job.submission.due or job.tiers or job.ordered)


def _told_before(job: Job, ran: Ran) -> int:
    """Give the due time of the wait in place that came right before this execution."""
    attempt, snoozed = ran.execution.attempt, ran.turn > 0
    dues = [
        told.due
        for told in job.transitions
        if told.state == "retrying"
        and told.attempt == (attempt if snoozed else attempt - 1)
        and bool(told.error_type) is not snoozed
    ]
    return min(dues, default=0)


def _quantile(ascending: Sequence[float], share: float) -> float:
    if not ascending:
        return 0.0
    return round(ascending[min(len(ascending) - 1, int(len(ascending) * share))], 3)
