"""What a pipeline has beside its workers: the scheduler, the exporter, the processors, the topics."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from headrace.deploy.access import Role
from headrace.deploy.kubernetes.lanes import (
    SERVICES_CLASS,
    deployment,
    disruption_budget,
    priority_class,
    recommendations,
)
from headrace.deploy.kubernetes.pods import PodOf, job_template
from headrace.deploy.kubernetes.scaler import scaler_files, scaler_pod
from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest

SCHEDULERS: Final = 2
"""They share the delay tiers; one alone would leave what is due waiting while it is replaced."""
_DEADLINE: Final = timedelta(minutes=10)
_KEPT: Final = timedelta(minutes=1)


def service_files(setting: Setting) -> dict[str, list[Manifest]]:
    """Give the manifests of each service by its file's name."""
    return {
        "scheduler.yaml": _served(setting, Role.SCHEDULER, ("scheduler",), SCHEDULERS),
        "exporter.yaml": _served(setting, Role.EXPORTER, ("exporter",), 1),
        **scaler_files(setting),
        **dict(_processors(setting)),
        "topics.yaml": [_topics(setting)],
    }


def service_pods(setting: Setting) -> list[tuple[PodOf, int]]:
    """Give every service's pods and how many there are, for the quota."""
    found = [(_pod(setting, Role.SCHEDULER, ("scheduler",)), SCHEDULERS)]
    found.append((_pod(setting, Role.EXPORTER, ("exporter",)), 1))
    if setting.profile.scaler is not None:
        found.append((scaler_pod(setting), setting.profile.scaler.replicas))
    if setting.profile.store_secret:
        found.append((_projector(setting), 1))
    if setting.profile.statistics:
        found.append((_statistics(setting), 1))
    return found


def _processors(setting: Setting) -> Iterator[tuple[str, list[Manifest]]]:
    if setting.profile.store_secret:
        yield "projector.yaml", _objects(setting, _projector(setting), 1)
    if setting.profile.statistics:
        yield "statistics.yaml", _objects(setting, _statistics(setting), 1)


def _projector(setting: Setting) -> PodOf:
    reference = {"secretKeyRef": {"name": setting.profile.store_secret, "key": "url"}}
    return _pod(
        setting,
        Role.PROJECTOR,
        ("processors", "projector"),
        environment=(("HEADRACE_STORE_URL", reference),),
    )


def _statistics(setting: Setting) -> PodOf:
    return _pod(setting, Role.STATISTICS, ("processors", "statistics"), memory=512)


def _pod(
    setting: Setting,
    role: Role,
    arguments: tuple[str, ...],
    *,
    memory: int = 256,
    environment: tuple[tuple[str, Any], ...] = (),
) -> PodOf:
    return PodOf(
        role,
        arguments,
        setting.labels(role.value),
        memory=memory,
        environment=environment,
        priority_class=priority_class(setting, SERVICES_CLASS),
    )


def _served(
    setting: Setting, role: Role, arguments: tuple[str, ...], replicas: int
) -> list[Manifest]:
    return _objects(setting, _pod(setting, role, arguments), replicas)


def _objects(setting: Setting, pod: PodOf, replicas: int) -> list[Manifest]:
    name = setting.component(pod.role.value)
    return [
        deployment(setting, name, pod, replicas=replicas),
        disruption_budget(name, pod.labels),
        *recommendations(setting, name, pod.labels),
    ]


def _topics(setting: Setting) -> Manifest:
    """A Job's template cannot be changed, so a finished one goes before the next version comes."""
    pod = _pod(setting, Role.TOPICS, ("topics", "apply"))
    return manifest(
        "batch/v1",
        "Job",
        setting.component(Role.TOPICS.value),
        pod.labels,
        spec={
            "backoffLimit": 4,
            "activeDeadlineSeconds": round(_DEADLINE.total_seconds()),
            "ttlSecondsAfterFinished": round(_KEPT.total_seconds()),
            "template": job_template(setting, pod),
        },
    )
