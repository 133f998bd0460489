"""Recognising a job that came twice, in a bounded window per partition.

Twice by itself: a scheduler that died between releasing a job to its lane and committing writes it
again: same job, same submission, same generation, same step, another offset. Twice by its producer:
a second submission with the same `dedup_key` has the same id, but a creation time of its own; that
is judged here only in queues without a dedup window, as far as the memory reaches. The lane's owner
runs the first one only.
"""

from collections import OrderedDict
from typing import NamedTuple

from headrace.schemas.headers import JobHeaders

WINDOW = 10_000
"""Records remembered per partition."""
READ_BACK = 1_000
"""Offsets before the commit point that are read again, to remember them, when a partition is
assigned: they come through the same connection before the first job, and none of them is run."""


class _First(NamedTuple):
    """The record that was received first."""

    offset: int
    created: int


_Seen = OrderedDict[tuple[str, int, int, int], _First]


class RecentJobs:
    """What was received lately, by partition.

    Args:
        window: Records remembered per partition.
        submissions: Whether second submissions are judged here.
    """

    def __init__(self, window: int = WINDOW, *, submissions: bool = True) -> None:
        self._window = window
        self._submissions = submissions
        self._seen: dict[int, _Seen] = {}

    def is_double(self, partition: int, offset: int, job: JobHeaders) -> bool:
        """Remember a record; tell whether the same job was received at another offset.

        First submissions without a `dedup_key` are not remembered: their producer is idempotent.
        """
        if not job.step and job.dedup_key is None:
            return False
        seen = self._seen.setdefault(partition, OrderedDict())
        this = _First(offset, job.created)
        first = seen.setdefault((job.job_id, job.generation, job.step, job.created), this)
        if first.offset != offset:
            return True
        if self._submissions and job.dedup_key and self._is_second(seen, job, this):
            return True
        while len(seen) > self._window:
            seen.popitem(last=False)
        return False

    def note(self, partition: int, offset: int, job: JobHeaders, now: int) -> None:
        """Remember a record that was received before this process owned the partition.

        Not one that has expired: whether it was run in time cannot be told, and a job must rather
        run twice than never.
        """
        if job.expires is None or job.expires > now:
            self.is_double(partition, offset, job)

    def forget(self, partition: int) -> None:
        """The partition belongs to somebody else now."""
        self._seen.pop(partition, None)

    def _is_second(self, seen: _Seen, job: JobHeaders, this: _First) -> bool:
        """Compare creation times: all records of one submission have the same.

        Only of records that surely come to the lane for the first time. One with more steps may
        be back from a wait: dropping it could drop the job.
        """
        first = seen.setdefault((job.job_id, job.generation, _SUBMISSION, 0), this)
        return job.step <= 1 and first.created != job.created


_SUBMISSION = -1
"""In the place of a step: the submission itself."""
