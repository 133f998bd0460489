"""Order: `order_violations`, for jobs of one key in a queue that was declared `ordered`.

Promised is the order in which the jobs reached their lane, so that is the order looked at: by the
offset of each job's first record there. What precedes it is checked apart:

- jobs of one key that were submitted without a delay lie on the lane in the order of submission;
- all jobs of one key lie on one partition.

Then, for each job and the one before it:

- its first execution begins no earlier than the first execution of the one before;
- and not before the final outcome of the one before was decided: when its first execution that
  ended well did so, or, if none did, when its last attempt failed for the first time. If that
  attempt never ended (its process died each time), when the outcome was stored.

Only first executions are looked at: that a job runs again after a crash, and its successors after
it, is what re-executions are checked for. Jobs that never ran break no order. Jobs without a promise
do not have to run, but if they ran, they had to in their turn. Each pair counts once.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from headrace.console.proof.findings import Example, about
from headrace.console.proof.joined import MS, Job, Joined
from headrace.console.proof.outcomes import FINAL
from headrace.console.proof.records import What


def order(joined: Joined) -> Iterator[Example]:
    """Find pairs of jobs of one key that did not run in turn."""
    for jobs in _keys(joined):
        yield from _misplaced(jobs)
        came = sorted(jobs, key=_came)
        for former, job in pairwise([each for each in came if each.executions]):
            why = _overtaken(former, job)
            if why:
                yield about(job, why, former=former.id, first_start=job.executions[0].start)


def _keys(joined: Joined) -> list[list[Job]]:
    keys: dict[tuple[str, str], list[Job]] = {}
    for job in joined.jobs.values():
        if job.ordered and job.submission.key and job.lane:
            keys.setdefault((job.submission.lane, job.submission.key), []).append(job)
    return [keys[name] for name in sorted(keys)]


def _came(job: Job) -> tuple[int, int]:
    return min((record.partition, record.offset) for record in job.lane)


def _misplaced(jobs: Sequence[Job]) -> Iterator[Example]:
    first = min(jobs, key=_came)
    for job in jobs:
        if _came(job)[0] != _came(first)[0]:
            yield about(job, f"its key lies on another partition than with job {first.id}")
    direct = [job for job in jobs if not job.submission.due]
    for former, job in pairwise(sorted(direct, key=lambda each: each.submission.seq)):
        same = _came(former)[0] == _came(job)[0]
        if same and _came(job) < _came(former):
            yield about(job, f"it lies before job {former.id}, which was submitted before it")


def _overtaken(former: Job, job: Job) -> str:
    start, before = job.executions[0].start, former.executions[0].start
    if start < before:
        return f"it began {(before - start) / MS:.3f} ms before job {former.id} of the same key"
    decided = _decided(former)
    if decided is not None and start < decided:
        early = (decided - start) / MS
        return f"it began {early:.3f} ms before the outcome of job {former.id} was decided"
    return ""


def _decided(job: Job) -> int | None:
    """Give when a job's outcome was decided, in epoch ns; None when it never was."""
    done = [each.end for each in job.executions if each.how is What.DONE]
    if done:
        return min(done)
    last = max(each.attempt for each in job.executions)
    failed = [
        each.end for each in job.executions if each.attempt == last and each.how is What.RAISE
    ]
    if failed:
        return min(failed)
    stored = [each.appended * MS for each in job.transitions if each.state in FINAL]
    return min(stored, default=None)
