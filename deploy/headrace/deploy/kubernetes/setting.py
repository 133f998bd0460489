"""What every part of the manifests is made from, and the names and labels that they share."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from headrace.deploy.access import Role, user_of
from headrace.deploy.lane_sizes import LaneSize
from headrace.deploy.profile import Environment, Profile
from headrace.deploy.scaling.plan import Plan
from headrace.deploy.scaling.strategies import find_strategy
from headrace.deploy.sizing import default_timeout, whole_seconds
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane

Manifest = dict[str, Any]
"""A Kubernetes object as plain values."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the manifests are made from.

    Attributes:
        pipeline: The declaration.
        reference: Where the pods find it, `module:attribute`.
        profile: What the declaration does not say.
    """

    pipeline: Pipeline
    reference: str
    profile: Profile

    def component(self, name: str) -> str:
        """Name an object that is not a lane's."""
        return f"{self.pipeline.name}-{name}"

    def lane_name(self, lane: Lane) -> str:
        """Name a lane's objects."""
        return self.size(lane).name or lane.topic.replace(".", "-")

    def size(self, lane: Lane) -> LaneSize:
        """Give how large a lane's workers are."""
        return self.profile.size_of(lane)

    def partitions(self, lane: Lane) -> int:
        """Give how many partitions a lane has, and so how many pods can have work."""
        return self.pipeline.queues[lane.queue].partitions or self.profile.topics.partitions

    def max_replicas(self, lane: Lane) -> int:
        """Give how many pods a lane may have."""
        return self.size(lane).max_replicas or self.partitions(lane)

    def namespace(self, environment: str) -> str:
        """Name the namespace of one of the profile's environments."""
        return self.profile.environments[environment].namespace or self.component(environment)

    def plan(self, lane: Lane, environment: Environment | None = None) -> Plan:
        """Say how a lane is scaled.

        Args:
            lane: Which.
            environment: Where; the bounds are those of the base when not given.

        Raises:
            StrategyError: Its strategy cannot be had.
        """
        size, scaler = self.size(lane), self.profile.scaler
        least, most = size.min_replicas, self.max_replicas(lane)
        if environment is not None:
            least, most = environment.bounds(least, most)
        return Plan(
            find_strategy(size.strategy),
            size.jobs_per_second,
            size.wait,
            least,
            most,
            self.partitions(lane),
            size.floors,
            external=scaler is not None,
            forecast=scaler is not None and scaler.forecast,
        )

    def drain_budget(self, lane: Lane) -> timedelta:
        """Say how long a stopping worker of a lane waits: as long as its longest job may take."""
        return whole_seconds(self.longest_timeout(lane))

    def longest_timeout(self, lane: Lane) -> timedelta:
        """Give the longest timeout of the jobs that can lie in a lane: those of its queue."""
        timeouts = (
            job_type.policy.timeout or default_timeout()
            for job_type in self.pipeline.job_types.values()
            if job_type.policy.queue == lane.queue
        )
        return max(timeouts, default=default_timeout())

    def labels(self, component: str, **more: str) -> dict[str, str]:
        """Give the recommended labels, which selectors match by too."""
        return {
            "app.kubernetes.io/name": "headrace",
            "app.kubernetes.io/instance": self.pipeline.name,
            "app.kubernetes.io/component": component,
            **{f"headrace/{name}": value for name, value in more.items()},
        }

    def lane_labels(self, lane: Lane) -> dict[str, str]:
        """Give the labels of a lane's objects."""
        return self.labels("worker", queue=lane.queue, priority=lane.priority)

    @property
    def everything(self) -> dict[str, str]:
        """The labels that all pods of the pipeline have."""
        return {
            "app.kubernetes.io/name": "headrace",
            "app.kubernetes.io/instance": self.pipeline.name,
        }

    def user(self, role: Role) -> str:
        """Name a role's Kafka user, and the Secret that holds what it proves itself with."""
        return user_of(self.pipeline, role)

    @property
    def settings_name(self) -> str:
        """The ConfigMap with the settings that all processes share."""
        return self.component("settings")


def manifest(
    api_version: str, kind: str, name: str, labels: dict[str, str], **parts: Any
) -> Manifest:
    """Put an object together. None among the parts are left out."""
    given = {key: value for key, value in parts.items() if value is not None}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        **given,
    }
