"""How one lane is scaled: its strategy, made into numbers by its size."""

from dataclasses import dataclass
from datetime import timedelta

from headrace.deploy.scaling.floors import Floor
from headrace.deploy.scaling.horizontal import Horizontal
from headrace.deploy.scaling.kafka_trigger import KafkaTrigger
from headrace.deploy.scaling.operator import Operator
from headrace.deploy.scaling.strategy import Fallback, Strategy


@dataclass(frozen=True, slots=True)
class Plan:
    """How one lane is scaled.

    Attributes:
        strategy: What its scaling is like.
        jobs_per_second: What one pod does, measured.
        wait: How long a job may lie ready.
        least: Pods at least.
        most: Pods at most.
        partitions: Of the lane.
        floors: Pods that are kept at certain times.
        external: Whether KEDA asks the external scaler for every lane.
        forecast: Whether that counts what is expected for every lane.
    """

    strategy: Strategy
    jobs_per_second: float
    wait: timedelta
    least: int
    most: int
    partitions: int
    floors: tuple[Floor, ...] = ()
    external: bool = False
    forecast: bool = False

    @property
    def expects(self) -> bool:
        """Whether what a growing backlog will be in a minute counts."""
        return self.forecast or self.strategy.forecast

    @property
    def asks_scaler(self) -> bool:
        """Whether the ready backlog is the metric, which the external scaler tells; else the lag is."""
        return self.external or self.expects

    @property
    def threshold(self) -> int:
        """Ready jobs that one pod is for."""
        return self.strategy.threshold(self.jobs_per_second, self.wait)

    @property
    def trigger(self) -> KafkaTrigger:
        """What KEDA measures the lane with, where it measures the group's lag."""
        return KafkaTrigger(self.threshold)

    @property
    def fallback(self) -> Fallback:
        """What happens while the metric cannot be had: not fewer pods than there are anyway."""
        given = self.strategy.fallback
        return Fallback(given.failures, max(given.replicas, self.least), given.behaviour)

    def horizontal(self) -> Horizontal:
        """Make the autoscaler, as it is when it has just been made."""
        return Horizontal(self.strategy.up, self.strategy.down, self.least, self.most)

    def operator(self) -> Operator:
        """Make KEDA's part."""
        return Operator(self.least, self.strategy.cooldown)
