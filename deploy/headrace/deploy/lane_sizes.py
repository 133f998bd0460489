"""Of a profile: how large the workers of each lane are, and how many there may be."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar, Final

from pydantic import ConfigDict

from headrace.deploy.profile_types import STRICT, Cores, Count, KubernetesName, Positive
from headrace.deploy.scaling.floors import Floor
from headrace.pipeline.durations import PositiveDuration


@dataclass(frozen=True, slots=True)
class LaneSize:
    """How large a lane's workers are, and how many there may be.

    Attributes:
        concurrency: Jobs that one pod runs at a time.
        min_replicas: Pods that are kept without work.
        max_replicas: Pods at most; as many as the lane has partitions when not given.
        jobs_per_second: What one pod does, measured.
        wait: How long a job may lie ready before more pods are wanted.
        cpu: Cores that a pod is promised.
        cpu_limit: Cores that it gets at most.
        memory: MiB that a pod is promised, and gets at most.
        spot: Whether its pods may run on nodes that go away at short notice.
        name: Of its Kubernetes objects; `<pipeline>-<queue>-<priority>` when not given.
        strategy: How it is scaled: the name of a strategy, or `module:attribute` of one's own.
        floors: Pods that are kept at certain times.
    """

    concurrency: Positive = 30
    min_replicas: Count = 1
    max_replicas: Positive | None = None
    jobs_per_second: Cores = 20.0
    wait: PositiveDuration = timedelta(seconds=30)
    cpu: Cores = 0.25
    cpu_limit: Cores = 1.0
    memory: Positive = 256
    spot: bool = False
    name: KubernetesName | None = None
    strategy: str = "default"
    floors: tuple[Floor, ...] = ()


_URGENT: Final = LaneSize(concurrency=50, wait=timedelta(seconds=10))
_PATIENT: Final = LaneSize(concurrency=10, min_replicas=0, wait=timedelta(minutes=2), spot=True)
LANE_SIZES: Final[Mapping[str, LaneSize]] = MappingProxyType(
    {"critical": _URGENT, "high": _URGENT, "normal": LaneSize(), "low": _PATIENT}
)
"""By priority; others are as `normal`."""


@dataclass(frozen=True, slots=True)
class LaneChange:
    """What a profile says otherwise for a priority or a lane. As `LaneSize`; None changes nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    concurrency: Positive | None = None
    min_replicas: Count | None = None
    max_replicas: Positive | None = None
    jobs_per_second: Cores | None = None
    wait: PositiveDuration | None = None
    cpu: Cores | None = None
    cpu_limit: Cores | None = None
    memory: Positive | None = None
    spot: bool | None = None
    name: KubernetesName | None = None
    strategy: str | None = None
    floors: tuple[Floor, ...] | None = None

    def applied_to(self, size: LaneSize) -> LaneSize:
        """Give the size with what is said here in place of its own."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return replace(size, **{name: value for name, value in said.items() if value is not None})
