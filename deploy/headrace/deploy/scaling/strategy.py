"""What the scaling of a lane is like, whatever its size."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from headrace.deploy.errors import StrategyError
from headrace.deploy.scaling.rules import Rules


class FallbackBehaviour(StrEnum):
    """How many pods run while the metric cannot be had: KEDA's `fallback.behavior`."""

    STATIC = "static"
    CURRENT = "currentReplicas"
    CURRENT_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_IF_LOWER = "currentReplicasIfLower"


@dataclass(frozen=True, slots=True)
class Fallback:
    """What KEDA does when the metric cannot be had: an error is not an empty lane.

    Attributes:
        failures: More failures in a row than this begin it.
        replicas: Pods then, in the way that `behaviour` says.
        behaviour: How they and those that run make a number.
    """

    failures: int = 3
    replicas: int = 1
    behaviour: FallbackBehaviour = FallbackBehaviour.CURRENT_IF_HIGHER

    def pods(self, current: int) -> int:
        """Say how many pods are wanted while so many run."""
        match self.behaviour:
            case FallbackBehaviour.STATIC:
                return self.replicas
            case FallbackBehaviour.CURRENT:
                return current
            case FallbackBehaviour.CURRENT_IF_HIGHER:
                return max(current, self.replicas)
            case FallbackBehaviour.CURRENT_IF_LOWER:
                return min(current, self.replicas)


@dataclass(frozen=True, slots=True)
class Strategy:
    """What the scaling of a lane is like, whatever its size.

    Attributes:
        name: How it is called.
        up: Bounds of adding pods.
        down: Bounds of removing them.
        cooldown: The last pod goes when nothing was to do for so long.
        polling: How often KEDA looks whether anything is to do. Decides from 0 to 1 alone: the
            autoscaler asks in its own time, every 15 s as a rule.
        wait_factor: Which share of the lane's target wait a pod's work may fill before the next pod
            is wanted: below 1 pods come earlier than the wait asks for, above 1 later.
        fallback: What happens while the metric cannot be had.
        forecast: Whether the metric is the ready backlog that is expected in a minute, which the
            external scaler tells; else it is the group's lag.
    """

    name: str
    up: Rules
    down: Rules
    cooldown: timedelta = timedelta(minutes=5)
    polling: timedelta = timedelta(seconds=10)
    wait_factor: float = 1.0
    fallback: Fallback = field(default_factory=Fallback)
    forecast: bool = False

    def __post_init__(self) -> None:
        if self.wait_factor <= 0:
            raise StrategyError(
                f"strategy {self.name}: wait_factor = {self.wait_factor:g}: above 0"
            )
        if self.polling < timedelta(seconds=1) or self.cooldown < timedelta():
            raise StrategyError(
                f"strategy {self.name}: polling is a second at least, cooldown nothing at least"
            )

    def threshold(self, jobs_per_second: float, wait: timedelta) -> int:
        """Say how many ready jobs one pod is for: what it does in the wait. 1 at least.

        Args:
            jobs_per_second: What one pod does, measured.
            wait: How long a job may lie ready.
        """
        return max(1, round(jobs_per_second * wait.total_seconds() * self.wait_factor))
