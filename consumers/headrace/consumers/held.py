"""Jobs that wait on their lane without a slot: nearly due, or until something answers again."""

import heapq
from collections.abc import Callable
from itertools import count

from headrace.consumers.records import JobRecord


class Held:
    """Records by the moment from which they may be started. Owned by one thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, JobRecord]] = []
        self._numbers = count()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, record: JobRecord, at: float) -> None:
        """Hold a record until `at`, in monotonic seconds."""
        heapq.heappush(self._heap, (at, next(self._numbers), record))
        self.bytes += record.size

    def seconds_left(self, now: float) -> float:
        """Seconds until the first one may be started; infinite when nothing is held."""
        return max(0.0, self._heap[0][0] - now) if self._heap else float("inf")

    def take(self, now: float) -> list[JobRecord]:
        """Take those whose moment has come; of a closed assignment, they are dropped."""
        taken: list[JobRecord] = []
        while self._heap and self._heap[0][0] <= now:
            record = heapq.heappop(self._heap)[2]
            self.bytes -= record.size
            if not record.assignment.closed:
                taken.append(record)
        return taken

    def withdraw(self, drop: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Take back what is to be dropped, whenever it was to start."""
        taken = [entry[2] for entry in self._heap if drop(entry[2])]
        self._heap = [entry for entry in self._heap if not drop(entry[2])]
        heapq.heapify(self._heap)
        self.bytes = sum(entry[2].size for entry in self._heap)
        return taken
