"""A ScaledObject as a whole, and what it has to do with the objects beside it."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from headrace.deploy.kubernetes.scaling import LONGEST_NAME
from headrace.deploy.lint.external import EXTERNAL, check_external, is_ours
from headrace.deploy.lint.findings import Finder, Finding
from headrace.deploy.lint.objects import KubernetesObject, mapping, sequence
from headrace.deploy.lint.triggers import check_trigger

_KAFKA: Final = ("kafka", "apache-kafka")
_FIELDS: Final = frozenset(
    {
        "advanced",
        "cooldownPeriod",
        "fallback",
        "idleReplicaCount",
        "initialCooldownPeriod",
        "maxReplicaCount",
        "minReplicaCount",
        "pollingInterval",
        "scaleTargetRef",
        "triggers",
    }
)
_DEFAULT_MAX: Final = 100
_MANY: Final = 10
"""From so many pods on, a tenth more is a whole pod: the autoscaler's tolerance shows."""
_LEAST_WINDOW: Final = 300
_LEAST_PERIOD: Final = 60
_PAUSED: Final = "autoscaling.keda.sh/paused"


def kafka_triggers(scaled: KubernetesObject) -> list[tuple[str, dict[str, Any]]]:
    """Give the kafka triggers with their places."""
    return _triggers(scaled, _KAFKA)


def external_triggers(scaled: KubernetesObject) -> list[tuple[str, dict[str, Any]]]:
    """Give the triggers that ask an external scaler, with their places."""
    return _triggers(scaled, EXTERNAL)


def scales_on_kafka(scaled: KubernetesObject) -> bool:
    """Say whether it scales by what lies in Kafka, as KEDA or Headrace's scaler counts it."""
    ours = any(is_ours(each) for _, each in external_triggers(scaled))
    return ours or bool(kafka_triggers(scaled))


def _triggers(scaled: KubernetesObject, kinds: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    triggers = enumerate(sequence(scaled.spec.get("triggers")))
    return [
        (f"spec.triggers[{number}]", mapping(each))
        for number, each in triggers
        if mapping(each).get("type") in kinds
    ]


def check_scaled(scaled: KubernetesObject) -> Iterator[Finding]:
    """Look through one ScaledObject. One that does not scale on Kafka is somebody else's matter."""
    say, triggers, external = Finder(scaled), kafka_triggers(scaled), external_triggers(scaled)
    for place, trigger in external:
        yield from check_external(say, place, trigger)
    if not scales_on_kafka(scaled):
        return
    yield from _shape(say, scaled)
    yield from _counts(say, scaled.spec)
    yield from _fallback(say, scaled.spec)
    yield from _behaviour(say, scaled.spec)
    count = len(triggers) + sum(is_ours(each) for _, each in external)
    if count > 1:
        yield say.warning(
            "several-triggers",
            "spec.triggers",
            f"of {count} triggers the autoscaler takes the largest answer, never the sum, "
            "and each is bound by its own topic's partitions",
            "give each topic a group, a Deployment and a ScaledObject of its own",
        )
    for place, trigger in triggers:
        yield from check_trigger(say, place, trigger)


def _shape(say: Finder, scaled: KubernetesObject) -> Iterator[Finding]:
    if len(scaled.name) > LONGEST_NAME:
        yield say.error(
            "name-too-long",
            "metadata.name",
            f"{len(scaled.name)} characters: KEDA names the autoscaler keda-hpa-{scaled.name}, and "
            "that is over 63",
            f"choose a name of {LONGEST_NAME} characters at most",
        )
    for name in sorted(scaled.spec.keys() - _FIELDS):
        yield say.error(
            "unknown-field",
            f"spec.{name}",
            "a ScaledObject has no such field: it is dropped, or the object refused",
            f"write one of {', '.join(sorted(_FIELDS))}, or leave it out",
        )
    for name in sorted(name for name in scaled.annotations if name.startswith(_PAUSED)):
        yield say.warning(
            "paused",
            f"metadata.annotations[{name}]",
            "in a manifest this stops scaling with every apply",
            f"set it by hand while it is needed: kubectl annotate scaledobject {scaled.name} …",
        )


def _counts(say: Finder, spec: dict[str, Any]) -> Iterator[Finding]:
    least, most = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount")
    if most is None:
        yield say.warning(
            "no-maximum",
            "spec.maxReplicaCount",
            f"without one it is {_DEFAULT_MAX}, and by KEDA's own rounding one pod more than there "
            "are partitions can be asked for",
            "write the number of partitions, or a divisor of it",
        )
    elif isinstance(least, int) and isinstance(most, int) and least > most:
        yield say.error(
            "minimum-over-maximum",
            "spec.minReplicaCount",
            f"{least} is more than maxReplicaCount, {most}: KEDA refuses it",
            "lower the one or raise the other",
        )


def _fallback(say: Finder, spec: dict[str, Any]) -> Iterator[Finding]:
    fallback = mapping(spec.get("fallback"))
    if not fallback:
        why = "when Kafka cannot be asked, KEDA takes the lane for idle: pods stay away"
    elif fallback.get("behavior", "static") == "static":
        why = "when Kafka cannot be asked, pods beyond `replicas` are taken away from their work"
    else:
        return
    yield say.warning(
        "no-fallback" if not fallback else "static-fallback",
        "spec.fallback",
        why,
        "write fallback: {failureThreshold: 3, replicas: 1, behavior: currentReplicasIfHigher}",
    )


def _behaviour(say: Finder, spec: dict[str, Any]) -> Iterator[Finding]:
    autoscaler = mapping(mapping(spec.get("advanced")).get("horizontalPodAutoscalerConfig"))
    behaviour, place = mapping(autoscaler.get("behavior")), "spec.advanced"
    down, up = mapping(behaviour.get("scaleDown")), mapping(behaviour.get("scaleUp"))
    window = down.get("stabilizationWindowSeconds", _LEAST_WINDOW)
    periods = [mapping(each).get("periodSeconds", 0) for each in sequence(down.get("policies"))]
    quick = not periods or min(periods) < _LEAST_PERIOD
    if quick or (isinstance(window, int) and window < _LEAST_WINDOW):
        yield say.warning(
            "hasty-scale-in",
            f"{place}.horizontalPodAutoscalerConfig.behavior.scaleDown",
            "each step takes running jobs from a pod and moves partitions; by default all pods may "
            "go within 15 s",
            "write stabilizationWindowSeconds: 600 and one policy {type: Pods, value: 1, "
            "periodSeconds: 120}",
        )
    most = spec.get("maxReplicaCount", _DEFAULT_MAX)
    if isinstance(most, int) and most >= _MANY and "tolerance" not in up:
        yield say.warning(
            "never-the-last-pod",
            f"{place}.horizontalPodAutoscalerConfig.behavior.scaleUp.tolerance",
            f"the autoscaler lets a tenth pass: {most - 1} of {most} wanted pods stay as they are",
            'write tolerance: "0" (Kubernetes 1.33 and later)',
        )


def target_of(scaled: KubernetesObject) -> tuple[str, str]:
    """Give the namespace and the name of what is scaled."""
    return scaled.place[0], str(mapping(scaled.spec.get("scaleTargetRef")).get("name"))


def check_groups(scaled: Sequence[KubernetesObject]) -> Iterator[Finding]:
    """Find ScaledObjects that fight over a group of one Kafka, or a Deployment of one namespace."""
    seen: dict[tuple[str, str, str], KubernetesObject] = {}
    for each in scaled:
        given = [mapping(trigger.get("metadata")) for _, trigger in kafka_triggers(each)]
        groups = {
            ("group", str(one.get("consumerGroup")), str(one.get("bootstrapServers")))
            for one in given
        }
        target = target_of(each)
        for key in sorted({*groups, ("target", target[1], target[0])}):
            other = seen.setdefault(key, each)
            if other is not each:
                yield Finder(each).error(
                    f"shared-{key[0]}",
                    "spec",
                    f"{other.thing} has the same {key[0]}, {key[1]}: the two count the same lag or "
                    "undo each other",
                    "one group, one Deployment and one ScaledObject belong together",
                )
