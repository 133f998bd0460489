"""What a lane asks for, as of one look at Kafka, at any moment until the next. No Kafka, no clock."""

from dataclasses import dataclass
from typing import Final

from headrace.processors.lag.due_counts import LaneDue
from headrace.processors.lag.report import TopicLag
from headrace.processors.scaler.errors import UnknownBacklogError
from headrace.processors.scaler.trigger import Trigger
from headrace.processors.statistics.forecast import Sample, forecast

GROWING: Final = 0.3
"""Jobs a second above which a backlog counts as growing: below, a forecast follows noise."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a lane asks for.

    Attributes:
        waiting: Jobs in the lane that are not started.
        unfinished: Those that run, too.
        due: What waits for it in the tiers.
        samples: Its ready backlog at the last looks, oldest first.
    """

    waiting: int
    unfinished: int
    due: LaneDue
    samples: tuple[Sample, ...] = ()

    @classmethod
    def of(cls, lane: TopicLag, samples: tuple[Sample, ...] = ()) -> "Demand":
        """Take it from a measurement.

        Raises:
            UnknownBacklogError: The lane does not exist, or its group has no offset for a part of it.
        """
        if not lane.partitions or lane.due is None:
            raise UnknownBacklogError(f"{lane.topic} does not exist: run `headrace topics apply`")
        if lane.without_offset:
            raise UnknownBacklogError(
                f"group {lane.topic} has no offset for partition {lane.without_offset[0]}, so nobody "
                "can say what is left: run `headrace topics apply`"
            )
        waiting = sum(part.ready for part in lane.partitions)
        return cls(waiting, lane.messages, lane.due, samples)

    def jobs(self, trigger: Trigger, now: int) -> float:
        """Count the jobs to have pods for: what is ready, or will be when a new pod is.

        Args:
            trigger: What is asked.
            now: Epoch milliseconds.
        """
        jobs = float(self._soon(trigger, now) + self.waiting)
        if trigger.forecast:
            jobs = max(jobs, self._expected())
        return min(jobs, trigger.most)

    def is_active(self, trigger: Trigger, now: int) -> bool:
        """Say whether the lane needs a pod at all. While a job runs it does: nothing else is ready
        then, and the pod must not go.
        """  # noqa: D205
        return self.unfinished > 0 or self._soon(trigger, now) > 0

    def _soon(self, trigger: Trigger, now: int) -> int:
        return self.due.within(now, trigger.start_time.total_seconds())

    def _expected(self) -> float:
        found = forecast(self.samples)
        return found.jobs if found is not None and found.growth > GROWING else 0.0
