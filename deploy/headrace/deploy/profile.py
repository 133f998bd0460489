"""The profile: what a declaration does not say about its deployment, as a TOML file says it.

Every value has a default but `image` and `kafka.bootstrap_servers`. A profile holds no secrets: it names
the Secrets that hold them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from headrace.deploy.errors import ProfileError
from headrace.deploy.lane_sizes import LANE_SIZES, LaneChange, LaneSize
from headrace.deploy.profile_kafka import KafkaProfile, TopicProfile
from headrace.deploy.profile_scaler import ScalerProfile
from headrace.deploy.profile_types import STRICT, Count, KubernetesName, Positive
from headrace.pipeline.durations import PositiveDuration
from headrace.pipeline.queues import Lane


@dataclass(frozen=True, slots=True)
class Egress:
    """A place that handlers may reach.

    Attributes:
        cidr: Its addresses.
        ports: TCP ports.
        except_cidrs: Addresses in it that they may not reach.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    cidr: str
    ports: tuple[Positive, ...]
    except_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpotNodes:
    """How a cluster marks nodes that go away at short notice.

    Attributes:
        label: The label that they have, `name=value`.
        taint: The key of their taint; they have none when empty.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    label: Annotated[str, Field(pattern="^[^=]+=[^=]+$")] = "node.kubernetes.io/lifecycle=spot"
    taint: str = "spot"


@dataclass(frozen=True, slots=True)
class Environment:
    """What an overlay says otherwise.

    Attributes:
        namespace: Where it lives; `<pipeline>-<environment>` when not given.
        bootstrap_servers: Another Kafka.
        max_replicas: No lane has more pods than this.
        min_replicas: Every lane keeps so many pods.
        tag: The image's tag; the profile's when not given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    namespace: KubernetesName | None = None
    bootstrap_servers: str | None = None
    max_replicas: Positive | None = None
    min_replicas: Count | None = None
    tag: str | None = None

    def bounds(self, least: int, most: int) -> tuple[int, int]:
        """Say how many pods a lane has here at least and at most, which has these elsewhere."""
        highest = min(most, self.max_replicas or most)
        lowest = least if self.min_replicas is None else self.min_replicas
        return min(lowest, highest), highest


_ENVIRONMENTS: Final[Mapping[str, Environment]] = MappingProxyType(
    {
        "dev": Environment(max_replicas=2, min_replicas=0),
        "staging": Environment(max_replicas=4),
        "production": Environment(),
    }
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a declaration does not say about its deployment.

    Attributes:
        image: Holds Headrace and the pipeline's code.
        kafka: Where Kafka is.
        topics: What the topics are like.
        longest_drain: No lane's job may take longer: a pod that is told to stop would be killed
            before the job is done.
        store_secret: A Secret whose key `url` is `HEADRACE_STORE_URL`; without one there is no
            projector.
        store_cidrs: Where that database is, for the network policy; with the port `store_port`.
        store_port: Of the database.
        statistics: Whether the statistics run.
        monitoring_namespace: Where Prometheus runs.
        pod_monitor: Whether the cluster has Prometheus' operator.
        recommendations: Whether the cluster has the vertical autoscaler, to recommend sizes.
        handlers_secret: A Secret whose keys become variables of the workers, for the handlers.
        pull_secret: A Secret for the image's registry.
        priorities: Changes by priority.
        lanes: Changes by lane, `queue.priority`.
        egress: What the handlers may reach beside Kafka and DNS.
        spot: How nodes are marked that go away at short notice.
        environments: The overlays.
        scaler: The external scaler; without one KEDA reads the lanes' lag from Kafka.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    image: Annotated[str, Field(min_length=1)]
    kafka: KafkaProfile
    topics: TopicProfile = field(default_factory=TopicProfile)
    longest_drain: PositiveDuration = timedelta(minutes=10)
    store_secret: KubernetesName | None = None
    store_cidrs: tuple[str, ...] = ()
    store_port: Positive = 5432
    statistics: bool = True
    monitoring_namespace: KubernetesName = "monitoring"
    pod_monitor: bool = True
    recommendations: bool = True
    handlers_secret: KubernetesName | None = None
    pull_secret: KubernetesName | None = None
    priorities: Mapping[str, LaneChange] = field(default_factory=dict)
    lanes: Mapping[str, LaneChange] = field(default_factory=dict)
    egress: tuple[Egress, ...] = ()
    spot: SpotNodes = SpotNodes()
    environments: Mapping[str, Environment] = field(default_factory=lambda: _ENVIRONMENTS)
    scaler: ScalerProfile | None = None

    def size_of(self, lane: Lane) -> LaneSize:
        """Give a lane's size: the table's, changed by its priority's entry, then by its own."""
        size = LANE_SIZES.get(lane.priority, LANE_SIZES["normal"])
        none = LaneChange()
        size = self.priorities.get(lane.priority, none).applied_to(size)
        return self.lanes.get(f"{lane.queue}.{lane.priority}", none).applied_to(size)


_ADAPTER: Final = TypeAdapter(Profile)


def read_profile(file: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileError: The file cannot be read, is no TOML, or has a value that cannot be used: a line
            for each, with its place, and what it should be.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProfileError(
            f"there is no profile {file}: write one (docs/deploy.md shows the smallest), or name "
            "another with --profile"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{file} cannot be read as TOML: {error}") from error
    return profile_of(content, str(file))


def profile_of(content: Mapping[str, Any], source: str) -> Profile:
    """Make a profile of what a TOML file holds.

    Args:
        content: What it holds.
        source: Its name, for the error.

    Raises:
        ProfileError: As for `read_profile`.
    """
    try:
        return _ADAPTER.validate_python(dict(content))
    except ValidationError as error:
        lines = [_explain(each, source) for each in error.errors()]
    raise ProfileError("\n".join(lines))


def _explain(problem: Mapping[str, Any], source: str) -> str:
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "missing":
        return f"{source}: `{place}` is missing; docs/deploy.md shows the smallest profile"
    if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{source}: `{place}` is no entry of a profile; docs/deploy.md lists them"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{source}: `{place}` = {problem['input']!r}: {reason}"
