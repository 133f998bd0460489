"""A lane that exists in arithmetic alone: partitions, pods, and jobs that wait."""

from collections import Counter, deque
from collections.abc import Sequence


class Pods:
    """The pods of a Deployment: they take a while to start, and those that start go first.

    Args:
        count: Pods that are ready from the beginning.
        start: Seconds until a new one has joined its group.
    """

    def __init__(self, count: int, start: float) -> None:
        self._start = start
        self._ready_at = [0.0] * count

    def __len__(self) -> int:
        return len(self._ready_at)

    def scale(self, now: float, wanted: int) -> None:
        """Make or end pods. One that ends finishes what it runs, and takes nothing new."""
        new = [now + self._start] * max(0, wanted - len(self._ready_at))
        self._ready_at = (self._ready_at + new)[:wanted]

    def ready(self, now: float) -> int:
        """How many work."""
        return sum(at <= now for at in self._ready_at)


class LaneWorld:
    """Jobs come, wait in partitions, and are done by the pods that own these.

    Each job takes as long as any other. Partitions are spread over pods as evenly as their numbers let,
    and get the same share of the jobs.

    Args:
        partitions: How many.
        jobs_per_second: What one pod does.
    """

    def __init__(self, partitions: int, jobs_per_second: float) -> None:
        self._rate = jobs_per_second
        self._waiting: list[deque[list[float]]] = [deque() for _ in range(partitions)]
        self._lags = [0] * partitions
        self._next = 0
        self._come = 0.0
        self._able = [0.0] * partitions
        self.waits: Counter[float] = Counter()
        """Jobs that were done, by the seconds that they waited."""

    @property
    def lags(self) -> Sequence[int]:
        """Jobs in each partition."""
        return self._lags

    @property
    def backlog(self) -> int:
        """Jobs that wait."""
        return sum(self._lags)

    def oldest(self, now: float) -> float:
        """Seconds for which the oldest job waits."""
        return max((now - jobs[0][0] for jobs in self._waiting if jobs), default=0.0)

    def come(self, now: float, jobs: float) -> None:
        """Let jobs come; fractions add up to whole ones."""
        self._come += jobs
        whole = int(self._come)
        self._come -= whole
        count = len(self._lags)
        each, more = divmod(whole, count)
        for number in range(count):
            partition = (self._next + number) % count
            if came := each + (number < more):
                self._waiting[partition].append([now, came])
                self._lags[partition] += came
        self._next = (self._next + more) % count

    def work(self, now: float, pods: int, seconds: float) -> None:
        """Let so many pods work."""
        count = len(self._lags)
        for pod in range(min(pods, count)):
            able = self._able[pod] + self._rate * seconds
            owned = range(pod, count, pods)
            done = self._do(now, owned, int(able))
            # Nobody works ahead: what an idle pod could have done is gone
            self._able[pod] = able - done if done == int(able) else 0.0

    def _do(self, now: float, owned: range, able: int) -> int:
        left = able
        turn = sorted(owned, key=self._lags.__getitem__)
        for place, partition in enumerate(turn):
            share = min(self._lags[partition], left // (len(turn) - place))
            self._finish(now, partition, share)
            left -= share
        for partition in reversed(turn):
            more = min(self._lags[partition], left)
            self._finish(now, partition, more)
            left -= more
        return able - left

    def _finish(self, now: float, partition: int, jobs: int) -> None:
        self._lags[partition] -= jobs
        waiting = self._waiting[partition]
        while jobs:
            came, there = waiting[0]
            done = min(jobs, int(there))
            self.waits[now - came] += done
            jobs -= done
            waiting[0][1] -= done
            if not waiting[0][1]:
                waiting.popleft()

    def unfinished(self, now: float) -> Counter[float]:
        """Give the jobs that are left, by the seconds that they have waited."""
        left: Counter[float] = Counter()
        for jobs in self._waiting:
            for came, count in jobs:
                left[now - came] += int(count)
        return left
