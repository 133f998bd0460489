"""How fast a replica count may change: the `behavior` of a HorizontalPodAutoscaler (autoscaling/v2)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from headrace.deploy.errors import StrategyError
from headrace.pipeline.durations import format_duration

CLUSTER_TOLERANCE: Final = 0.1
"""What `--horizontal-pod-autoscaler-tolerance` is unless a cluster says otherwise."""
_LONGEST_WINDOW: Final = timedelta(hours=1)
_LONGEST_PERIOD: Final = timedelta(minutes=30)


class PolicyKind(StrEnum):
    """What a policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class Select(StrEnum):
    """Which of several policies holds."""

    MAX = "Max"
    """The one that lets change the most."""
    MIN = "Min"
    DISABLED = "Disabled"
    """None: this direction is off."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How much may change within a period.

    Attributes:
        kind: Pods, or percent of the pods at the period's beginning.
        value: How many; 1 or more.
        period: Half an hour at most, whole seconds.
    """

    kind: PolicyKind
    value: int
    period: timedelta

    def __post_init__(self) -> None:
        if self.value < 1:
            raise StrategyError(
                f"a policy of {self.value} {self.kind} lets nothing change: 1 or more"
            )
        _check("a policy's period", self.period, timedelta(seconds=1), _LONGEST_PERIOD)

    def __str__(self) -> str:
        what = f"{self.value} %" if self.kind is PolicyKind.PERCENT else f"{self.value} pods"
        return f"{what} in {format_duration(self.period)}"


@dataclass(frozen=True, slots=True)
class Rules:
    """How one direction, up or down, is bounded.

    Attributes:
        window: For so long the most careful number that was wanted counts.
        policies: One at least.
        select: Which of them holds.
        tolerance: A share by which the metric may miss its target; the cluster's, 10 % as a rule,
            when None.
    """

    window: timedelta
    policies: tuple[Policy, ...]
    select: Select = Select.MAX
    tolerance: float | None = None

    def __post_init__(self) -> None:
        _check("a window", self.window, timedelta(), _LONGEST_WINDOW)
        if not self.policies:
            raise StrategyError(
                "rules without a policy: give one, or select=Select.DISABLED beside it"
            )
        if self.tolerance is not None and not 0 <= self.tolerance < 1:
            raise StrategyError(f"a tolerance of {self.tolerance:g}: a share from 0 to below 1")

    @property
    def leeway(self) -> float:
        """The tolerance that holds."""
        return CLUSTER_TOLERANCE if self.tolerance is None else self.tolerance

    def manifest(self) -> dict[str, Any]:
        """Write it as Kubernetes takes it."""
        given: dict[str, Any] = {"stabilizationWindowSeconds": round(self.window.total_seconds())}
        if self.select is not Select.MAX:
            given["selectPolicy"] = self.select.value
        if self.tolerance is not None:
            given["tolerance"] = f"{self.tolerance:g}"
        given["policies"] = [
            {
                "type": policy.kind.value,
                "value": policy.value,
                "periodSeconds": round(policy.period.total_seconds()),
            }
            for policy in self.policies
        ]
        return given


def pods(count: int, period: timedelta) -> Policy:
    """Make a policy of so many pods in a period."""
    return Policy(PolicyKind.PODS, count, period)


def percent(share: int, period: timedelta) -> Policy:
    """Make a policy of so many percent in a period."""
    return Policy(PolicyKind.PERCENT, share, period)


def _check(what: str, given: timedelta, least: timedelta, most: timedelta) -> None:
    if not least <= given <= most or given % timedelta(seconds=1):
        raise StrategyError(
            f"{what} of {format_duration(given)}: Kubernetes takes whole seconds from "
            f"{format_duration(least)} to {format_duration(most)}"
        )
