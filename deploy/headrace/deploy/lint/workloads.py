"""What is scaled, and the topics it is scaled by: whether they fit the ScaledObject."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from headrace.deploy.lint.findings import Finder, Finding
from headrace.deploy.lint.objects import KubernetesObject, mapping, sequence
from headrace.deploy.lint.scaled import kafka_triggers, target_of
from headrace.deploy.sizing import STOP_RESERVE
from headrace.pipeline.durations import parse_duration

_DEFAULT_GRACE: Final = 30
_DRAIN: Final = "HEADRACE_WORKER_DRAIN_BUDGET"
_FEWEST_DIVISORS: Final = 4
"""Of a number of partitions over 3: with fewer, even distribution knows 1 pod and all."""


@dataclass(frozen=True, slots=True)
class Workloads:
    """The objects beside the ScaledObjects, by what refers to them."""

    scaled: Sequence[KubernetesObject]
    others: Sequence[KubernetesObject]

    def check(self) -> Iterator[Finding]:
        """Look through everything that a ScaledObject refers to."""
        deployments = self._placed("Deployment")
        autoscalers = {
            target_of(each): each for each in self.others if each.kind == "HorizontalPodAutoscaler"
        }
        for each in self.scaled:
            target = target_of(each)
            if target in deployments:
                yield from _replicas(deployments[target], each)
                yield from _grace(deployments[target])
            if target in autoscalers:
                yield _second_autoscaler(autoscalers[target], each)
        yield from self._topics()

    def _placed(self, kind: str) -> dict[tuple[str, str], KubernetesObject]:
        return {each.place: each for each in self.others if each.kind == kind}

    def _topics(self) -> Iterator[Finding]:
        # Strimzi's topics live beside Kafka, whatever namespace the pods have
        topics = {
            str(topic.spec.get("topicName") or topic.name): topic
            for topic in self._placed("KafkaTopic").values()
        }
        for each in self.scaled:
            for _, trigger in kafka_triggers(each):
                metadata = mapping(trigger.get("metadata"))
                found = topics.get(str(metadata.get("topic")))
                if found is not None:
                    yield from _partitions(each, found, metadata)
                    yield from _compacted(found, each)


def _replicas(deployment: KubernetesObject, scaled: KubernetesObject) -> Iterator[Finding]:
    if "replicas" in deployment.spec:
        yield Finder(deployment).error(
            "two-masters",
            "spec.replicas",
            f"{scaled.thing} decides how many pods there are: every apply sets them back to "
            f"{deployment.spec['replicas']}, and partitions move twice",
            "leave replicas out",
        )


def _second_autoscaler(autoscaler: KubernetesObject, scaled: KubernetesObject) -> Finding:
    return Finder(autoscaler).error(
        "two-masters",
        "spec.scaleTargetRef",
        f"{scaled.thing} makes an autoscaler of its own for the same Deployment: the two undo each "
        "other",
        "leave this one out, and give its metrics to the ScaledObject as triggers",
    )


def _grace(deployment: KubernetesObject) -> Iterator[Finding]:
    pod = mapping(mapping(deployment.spec.get("template")).get("spec"))
    grace = pod.get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
    needed, told = _needed(pod)
    place = "spec.template.spec.terminationGracePeriodSeconds"
    if not isinstance(grace, int):
        return
    if needed is not None and grace < needed:
        yield Finder(deployment).error(
            "killed-while-draining",
            place,
            f"the pod is killed after {grace} s, but {told}: jobs that would have ended run again "
            "elsewhere",
            f"write {needed} or more",
        )
    elif needed is None and "terminationGracePeriodSeconds" not in pod:
        yield Finder(deployment).warning(
            "killed-while-busy",
            place,
            f"the autoscaler takes any pod away, and it is killed after {_DEFAULT_GRACE} s, in the "
            "middle of a job that takes longer",
            "write the longest time that a job may take, and what a stop takes besides",
        )


def _needed(pod: Mapping[str, Any]) -> tuple[int | None, str]:
    """Say how many seconds a pod of ours needs, and why; None when it does not say."""
    for container in map(mapping, sequence(pod.get("containers"))):
        for variable in map(mapping, sequence(container.get("env"))):
            if variable.get("name") == _DRAIN:
                return _seconds(container, str(variable.get("value")))
    return None, ""


def _seconds(container: Mapping[str, Any], budget: str) -> tuple[int | None, str]:
    try:
        drain = parse_duration(budget)
    except ValueError:
        return None, ""
    sleep = mapping(mapping(mapping(container.get("lifecycle")).get("preStop")).get("sleep"))
    before = sleep.get("seconds", 0)
    before = before if isinstance(before, int) else 0
    needed = timedelta(seconds=before) + drain + STOP_RESERVE
    return round(needed.total_seconds()), (
        f"it waits {before} s before it stops, {drain.total_seconds():g} s for its jobs "
        f"({_DRAIN}), and needs {STOP_RESERVE.total_seconds():g} s besides"
    )


def _partitions(
    scaled: KubernetesObject, topic: KubernetesObject, metadata: Mapping[str, Any]
) -> Iterator[Finding]:
    count, most = topic.spec.get("partitions"), scaled.spec.get("maxReplicaCount")
    if not isinstance(count, int):
        return
    if isinstance(most, int) and most > count:
        yield Finder(scaled).error(
            "more-pods-than-partitions",
            "spec.maxReplicaCount",
            f"{most}, but {topic.thing} has {count} partitions: a pod without one does nothing",
            f"write {count} or a divisor of it, or give the topic more partitions",
        )
    even = str(metadata.get("ensureEvenDistributionOfPartitions")).lower() == "true"
    divisors = sum(count % each == 0 for each in range(1, count + 1))
    if even and count > 3 and divisors < _FEWEST_DIVISORS:
        yield Finder(topic).warning(
            "few-divisors",
            "spec.partitions",
            f"with even distribution the number of pods divides {count}, which few numbers do",
            "take 12, 24, 48 or 60 partitions",
        )


def _compacted(topic: KubernetesObject, scaled: KubernetesObject) -> Iterator[Finding]:
    policy = str(mapping(topic.spec.get("config")).get("cleanup.policy", ""))
    if "compact" in policy:
        yield Finder(topic).error(
            "compacted-lag",
            "spec.config.cleanup.policy",
            f"{scaled.thing} scales by its lag, which counts offsets, and compaction takes records "
            "away: the lag stays above 0 with nothing to do",
            "write cleanup.policy: delete",
        )
