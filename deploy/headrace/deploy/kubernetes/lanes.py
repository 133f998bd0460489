"""A lane's own objects: Deployment, ScaledObject, disruption budget, and a recommendation of its size."""

from typing import Any, Final

from headrace.deploy.access import Role
from headrace.deploy.kubernetes.pods import PodOf, pod_template
from headrace.deploy.kubernetes.scaling import KEDA_USER_VARIABLE, scaled_object
from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest
from headrace.deploy.profile_kafka import Security
from headrace.pipeline.durations import format_duration
from headrace.pipeline.queues import WEIGHTS, Lane

_HISTORY: Final = 3
_SCRATCH: Final = 256


def lane_manifests(setting: Setting, lane: Lane) -> list[Manifest]:
    """Make everything that one lane needs."""
    name, labels = setting.lane_name(lane), setting.lane_labels(lane)
    return [
        deployment(setting, name, lane_pod(setting, lane), replicas=None),
        scaled_object(setting, lane),
        disruption_budget(name, labels),
        *recommendations(setting, name, labels),
    ]


def lane_pod(setting: Setting, lane: Lane) -> PodOf:
    """Give the pods of a lane: workers that serve it and no other."""
    size, drain = setting.size(lane), setting.drain_budget(lane)
    handlers = setting.profile.handlers_secret
    variables: list[tuple[str, Any]] = [
        ("HEADRACE_WORKER_CONCURRENCY", str(size.concurrency)),
        ("HEADRACE_WORKER_DRAIN_BUDGET", format_duration(drain)),
    ]
    if setting.profile.kafka.security is Security.SCRAM and setting.profile.scaler is None:
        variables.append((KEDA_USER_VARIABLE, setting.user(Role.KEDA)))
    return PodOf(
        Role.WORKER,
        ("worker", "--queue", lane.queue, "--priority", lane.priority),
        setting.lane_labels(lane),
        drain,
        size.cpu,
        size.cpu_limit,
        size.memory,
        tuple(variables),
        (handlers,) if handlers else (),
        size.spot,
        priority_class(setting, lane.priority),
        _SCRATCH,
    )


def deployment(setting: Setting, name: str, pod: PodOf, *, replicas: int | None) -> Manifest:
    """Make a Deployment.

    Args:
        setting: What it is made from.
        name: Its name.
        pod: What its pods are.
        replicas: How many; None leaves the number to KEDA, which every `apply` would else undo.
    """
    spec: dict[str, Any] = {
        "revisionHistoryLimit": _HISTORY,
        "selector": {"matchLabels": pod.labels},
        # A new one first: it joins the group before an old one leaves
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        },
        "template": pod_template(setting, pod),
    }
    if replicas is not None:
        spec = {"replicas": replicas, **spec}
    return manifest("apps/v1", "Deployment", name, pod.labels, spec=spec)


def disruption_budget(name: str, labels: dict[str, str]) -> Manifest:
    """Let nodes be drained a pod at a time; one that is not ready anyway stands in nobody's way."""
    return manifest(
        "policy/v1",
        "PodDisruptionBudget",
        name,
        labels,
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels},
        },
    )


def recommendations(setting: Setting, name: str, labels: dict[str, str]) -> list[Manifest]:
    """Ask the vertical autoscaler what it would give, and let it change nothing."""
    if not setting.profile.recommendations:
        return []
    asked = manifest(
        "autoscaling.k8s.io/v1",
        "VerticalPodAutoscaler",
        name,
        labels,
        spec={
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "updatePolicy": {"updateMode": "Off"},
        },
    )
    return [asked]


def priority_class(setting: Setting, priority: str) -> str:
    """Name the class of a priority's pods."""
    return setting.component(priority)


def priority_classes(setting: Setting) -> list[Manifest]:
    """Make a class for each priority, in the order of the shares: what is urgent gets its node first."""
    found = {lane.priority: lane.weight for lane in setting.pipeline.topology.lanes()}
    found = {SERVICES_CLASS: max(WEIGHTS.values()), **found}
    return [
        {
            **manifest(
                "scheduling.k8s.io/v1",
                "PriorityClass",
                priority_class(setting, priority),
                setting.labels("priority"),
            ),
            "value": weight * 1000,
            "globalDefault": False,
            "preemptionPolicy": "PreemptLowerPriority" if weight > WEIGHTS["low"] else "Never",
            "description": f"Headrace: {priority}",
        }
        for priority, weight in found.items()
    ]


SERVICES_CLASS: Final = "services"
"""The class of what every lane depends on: the scheduler and the processors."""
