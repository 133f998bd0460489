"""What the running jobs of a lane tell of their progress: the latest of each, passed on seldom."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from headrace.consumers.records import JobRecord
from headrace.pipeline.context import Progress

EVERY: Final = 1.0
"""Seconds between two transitions of one job that only tell of its progress."""
_GONE: Final = 2
"""Looks in a row that do not find a job running after which what it tells is dropped. At the first,
its result may lie in the lane's queue, and takes the last word along."""


@dataclass(slots=True, eq=False)
class _Told:
    record: JobRecord
    latest: Progress
    passed_on: Progress | None = None
    at: float = float("-inf")
    missed: int = 0

    @property
    def news(self) -> Progress | None:
        return None if self.latest == self.passed_on else self.latest


class ProgressDesk:
    """Takes what jobs tell, from any thread; the lane's thread takes it from here.

    Holds one entry for each running job that tells anything, so its memory is bounded.
    """

    def __init__(self) -> None:
        self.told: dict[int, _Told] = {}
        """By the identity of the record, which lives in the entry: a place may be run again. Empty
        when no job tells anything, which costs the lane's thread a look."""

    def tell(self, record: JobRecord, progress: Progress) -> None:
        """Note what a job tells of itself. From any thread; never blocks."""
        told = self.told.get(id(record))
        if told is None:
            told = self.told.setdefault(id(record), _Told(record, progress))
        told.latest = progress

    def last(self, record: JobRecord) -> Progress | None:
        """Take the last word of a job that has ended; None if that was passed on, or there is none."""
        told = self.told.pop(id(record), None)
        return None if told is None else told.news

    def due(
        self, running: Iterable[tuple[JobRecord, int]], now: float
    ) -> list[tuple[JobRecord, int, Progress]]:
        """Take what is to be passed on now.

        Args:
            running: What runs, and since when (epoch milliseconds).
            now: Monotonic seconds.

        Returns:
            Each job with its start and the latest that it told.
        """
        starts = {id(record): started for record, started in running}
        found: list[tuple[JobRecord, int, Progress]] = []
        for key, told in list(self.told.items()):
            if key not in starts:
                self._miss(key, told)
                continue
            told.missed = 0
            news = told.news
            if news is not None and now - told.at >= EVERY:
                told.passed_on, told.at = news, now
                found.append((told.record, starts[key], news))
        return found

    def _miss(self, key: int, told: _Told) -> None:
        """Forget a job that has ended, such as one whose thread goes on after its time was over."""
        told.missed += 1
        if told.missed >= _GONE:
            self.told.pop(key, None)
