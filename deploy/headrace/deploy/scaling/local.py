"""The same rules for worker processes on one machine, each of which serves every lane."""

from typing import NamedTuple

from headrace.deploy.scaling.horizontal import Decision, Horizontal, Metric
from headrace.deploy.scaling.strategy import Strategy


class Work(NamedTuple):
    """What there is to do.

    `ready` are jobs that nobody has started, over all lanes: each process takes from every lane, so here
    they do add up. `running` are those that workers run.
    """

    ready: int
    running: int


class LocalScaler:
    """Decides how many processes there should be.

    Args:
        strategy: Its bounds and windows; polling, cooldown and fallback mean nothing here.
        least: Processes at least, 1 or more.
        most: Processes at most.
        threshold: Ready jobs that one process is for.
        slots: Jobs that one process runs at a time.
    """

    def __init__(
        self, strategy: Strategy, least: int, most: int, *, threshold: int, slots: int
    ) -> None:
        self._horizontal = Horizontal(strategy.up, strategy.down, least, most)
        self._threshold, self._slots = threshold, slots

    def decide(self, now: float, current: int, work: Work | None) -> Decision:
        """Decide; without work that is known, nothing changes.

        What runs keeps its processes: a job that is done takes nobody away, one that is interrupted runs
        again.
        """
        ready, running = (None, None) if work is None else (work.ready, work.running)
        metrics = (
            Metric("ready backlog", ready, self._threshold),
            Metric("running jobs", running, self._slots),
        )
        return self._horizontal.decide(now, current, metrics)
