"""What it costs to end a pod: the jobs that it runs. No Kafka, no Kubernetes.

When a Deployment shrinks, pods with a lower `controller.kubernetes.io/pod-deletion-cost` go first; 0 is
that of a pod without one
(https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from headrace.processors.scale_in.cluster_api import Found
from headrace.processors.workers import WorkerView
from headrace.schemas.heartbeats import Heartbeat

ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
MOST: Final = 20
"""Pods that are changed in one round: each change is a write to the cluster's own store."""


class Change(NamedTuple):
    """A pod's cost, as it is and as it should be."""

    pod: Found
    before: int
    after: int


def in_flight(view: WorkerView) -> Mapping[str, int]:
    """Give how many jobs run in each pod: a worker's host is named as its pod is."""
    jobs: Counter[str] = Counter()
    for beat in _workers(view):
        jobs[beat.host] += beat.in_flight
    return jobs


def changes(pods: Iterable[Found], jobs: Mapping[str, int]) -> list[Change]:
    """Give the changes that are worth a write, the most telling first, `MOST` at most.

    A pod that nothing is known of stays as it is: it may be starting, or cut off with work in hand.
    """
    found = [change for change in _differences(pods, jobs) if _matters(change)]
    return sorted(found, key=_weight, reverse=True)[:MOST]


def _workers(view: WorkerView) -> Iterator[Heartbeat]:
    return (process.beat for process in view.alive if process.beat.role == "worker")


def _differences(pods: Iterable[Found], jobs: Mapping[str, int]) -> Iterator[Change]:
    for pod in pods:
        text = pod.annotations.get(ANNOTATION, "0")
        if pod.name in jobs and not pod.leaving and text.lstrip("-").isdigit():
            yield Change(pod, int(text), jobs[pod.name])


def _matters(change: Change) -> bool:
    """Idle or busy always does; else a change by half."""
    if bool(change.before) != bool(change.after):
        return True
    return abs(change.after - change.before) * 2 > change.before


def _weight(change: Change) -> tuple[bool, int]:
    return bool(change.before) != bool(change.after), abs(change.after - change.before)
