"""The profile: what a declaration does not say about its deployment, as a TOML file says it.

Every value has a default but `image` and `kafka.bootstrap_servers`. A profile holds no secrets: it names
the Secrets that hold them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from headrace.deploy.errors import ProfileError
from headrace.pipeline.durations import PositiveDuration
from headrace.pipeline.queues import Lane
from headrace.pipeline.settings import TopicSettings

_STRICT: Final = ConfigDict(extra="forbid", hide_input_in_errors=True)
_DNS_LABEL: Final = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Cores = Annotated[float, Field(gt=0)]
KubernetesName = Annotated[str, Field(pattern=_DNS_LABEL, max_length=63)]


class Security(StrEnum):
    """How our processes prove to Kafka who they are."""

    PLAINTEXT = "plaintext"
    """Not at all: for development."""
    SCRAM = "scram"
    """TLS, and SASL SCRAM-SHA-512: a Secret for each role with the key `password`."""
    MUTUAL_TLS = "mutual-tls"
    """TLS both ways: a Secret for each role with the keys `user.crt` and `user.key`."""


@dataclass(frozen=True, slots=True)
class KafkaProfile:
    """Where Kafka is, and how it is talked to.

    Attributes:
        bootstrap_servers: `host:port,…`, as the pods reach it.
        security: How our processes prove who they are.
        ca_secret: A Secret whose key `ca.crt` holds what brokers are checked against. Needed by
            both kinds of TLS.
        cluster: The name of Strimzi's Kafka resource, for `--target strimzi`.
        namespace: Where Strimzi's resources are, and the brokers' pods, if Kafka runs in the cluster.
        pod_labels: Of the brokers' pods; those of Strimzi's cluster when not given.
        cidrs: Where the brokers are, if they run outside the cluster.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    bootstrap_servers: Annotated[str, Field(min_length=1)]
    security: Security = Security.PLAINTEXT
    ca_secret: KubernetesName | None = None
    cluster: KubernetesName = "kafka"
    namespace: KubernetesName = "kafka"
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    cidrs: tuple[str, ...] = ()

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the bootstrap addresses, each once; 9092 for one that names none."""
        found = (part.rpartition(":")[2] for part in self.bootstrap_servers.split(","))
        return tuple(sorted({int(port) if port.isdigit() else 9092 for port in found}))

    @property
    def selector(self) -> Mapping[str, str]:
        """The labels by which the brokers' pods are found."""
        return self.pod_labels or {
            "strimzi.io/cluster": self.cluster,
            "strimzi.io/name": f"{self.cluster}-kafka",
        }


@dataclass(frozen=True, slots=True)
class TopicProfile:
    """What the topics are like. As the settings `HEADRACE_TOPIC_…`, which the pods get too."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    partitions: Positive = 12
    replication: int = 3
    min_insync: int | None = 2
    retention: PositiveDuration = timedelta(days=7)
    dlq_retention: PositiveDuration = timedelta(days=30)
    delay_partitions: Positive = 3
    events_partitions: Positive = 6
    max_message_bytes: int = 1_048_576

    def settings(self) -> TopicSettings:
        """Give them as settings: all of them, so that none comes from this machine's environment.

        Raises:
            ProfileError: They contradict each other.
        """
        try:
            return TopicSettings(
                topic_partitions=self.partitions,
                topic_replication=self.replication,
                topic_min_insync=self.min_insync,
                topic_retention=self.retention,
                dlq_retention=self.dlq_retention,
                delay_partitions=self.delay_partitions,
                events_partitions=self.events_partitions,
                topic_max_message_bytes=self.max_message_bytes,
            )
        except ValidationError as error:
            reasons = "\n".join(str(each["msg"]) for each in error.errors())
            raise ProfileError(f"the profile's [topics]: {reasons}") from None


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

    @property
    def lag_threshold(self) -> int:
        """Ready jobs for each pod that are too many: what it does within the wait. 1 at least."""
        return max(1, round(self.jobs_per_second * self.wait.total_seconds()))


_URGENT: Final = LaneSize(concurrency=50, wait=timedelta(seconds=10))
_PATIENT: Final = LaneSize(concurrency=10, min_replicas=0, wait=timedelta(minutes=2), spot=True)
LANE_SIZES: Final[Mapping[str, LaneSize]] = MappingProxyType(
    {"critical": _URGENT, "high": _URGENT, "normal": LaneSize(), "low": _PATIENT}
)
"""By priority; others are as `normal`."""


@dataclass(frozen=True, slots=True)
class LaneChange:
    """What a profile says otherwise for a priority or a lane. As `LaneSize`; None changes nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
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

    def applied_to(self, size: LaneSize) -> LaneSize:
        """Give the size with what is said here in place of its own."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return replace(size, **{name: value for name, value in said.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Egress:
    """A place that handlers may reach.

    Attributes:
        cidr: Its addresses.
        ports: TCP ports.
        except_cidrs: Addresses in it that they may not reach.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
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

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
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

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    namespace: KubernetesName | None = None
    bootstrap_servers: str | None = None
    max_replicas: Positive | None = None
    min_replicas: Count | None = None
    tag: str | None = None


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
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    image: Annotated[str, Field(min_length=1)]
    kafka: KafkaProfile
    topics: TopicProfile = TopicProfile()
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
