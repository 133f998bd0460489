"""Recognising a record that was written twice, in a bounded window per partition.

A scheduler that died between releasing a job to its lane and committing writes it again: same job,
same generation, same step, another offset. The lane's owner drops the second one.
"""

from collections import OrderedDict

from headrace.schemas.headers import JobHeaders

WINDOW = 10_000
"""Records remembered per partition."""


class RecentJobs:
    """What was received lately, by partition."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._seen: dict[int, OrderedDict[tuple[str, int, int], int]] = {}

    def is_double(self, partition: int, offset: int, job: JobHeaders) -> bool:
        """Remember a record; tell whether the same one was received at another offset.

        First submissions are not remembered: their producer is idempotent.
        """
        if not job.step:
            return False
        seen = self._seen.setdefault(partition, OrderedDict())
        what = (job.job_id, job.generation, job.step)
        first = seen.setdefault(what, offset)
        if first != offset:
            return True
        if len(seen) > self._window:
            seen.popitem(last=False)
        return False

    def forget(self, partition: int) -> None:
        """The partition belongs to somebody else now."""
        self._seen.pop(partition, None)
