"""One kafka trigger: whether it measures what its author means."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from headrace.deploy.lint.findings import Finder, Finding
from headrace.deploy.lint.objects import mapping
from headrace.deploy.lint.parameters import check_parameters

_EVEN: Final = "ensureEvenDistributionOfPartitions"
_LIMIT: Final = "limitToPartitionsWithLag"
_IDLE: Final = "allowIdleConsumers"


def check_trigger(say: Finder, place: str, trigger: Mapping[str, Any]) -> Iterator[Finding]:
    """Look through one trigger of type kafka."""
    metadata = mapping(trigger.get("metadata"))
    at = f"{place}.metadata"
    yield from check_parameters(say, at, metadata)
    yield from _place(say, at, metadata)
    yield from _refused_together(say, at, metadata)
    yield from _offsets(say, at, metadata)
    yield from _measures(say, place, trigger, metadata)


def _place(say: Finder, at: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    for name in ("bootstrapServers", "consumerGroup"):
        if not {name, f"{name}FromEnv"} & metadata.keys():
            yield say.error(
                "missing-parameter", at, f"there is no {name}: KEDA refuses the trigger",
                f"write {name}",
            )  # fmt: skip
    topic = str(metadata.get("topic", ""))
    if not topic and "topicFromEnv" not in metadata:
        needing = [name for name in (_EVEN, _LIMIT) if str(metadata.get(name)).lower() == "true"]
        told = say.error if needing else say.warning
        yield told(
            "no-topic",
            f"{at}.topic",
            f"KEDA refuses {needing[0]} without a topic"
            if needing
            else "without a topic KEDA adds up the lag of every topic in which the group ever "
            "committed, those that it reads no more included",
            "write the one topic that the pods read",
        )
    if ".delay." in topic or topic.endswith(".dlq"):
        yield say.error(
            "scales-on-what-waits",
            f"{at}.topic",
            f"records in {topic} wait on purpose, and KEDA counts them all: pods run for as long as "
            "one retry is not due, or one dead letter is kept",
            "scale on the lane's own topic, and leave delay tiers and dead letters outside KEDA",
        )


def _refused_together(say: Finder, at: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    on = {name for name, value in metadata.items() if str(value).lower() == "true"}
    for one, other in ((_IDLE, _LIMIT), (_LIMIT, _EVEN)):
        if {one, other} <= on:
            yield say.error(
                "refused-together",
                at,
                f"KEDA refuses {one} and {other} together, and then does not scale at all",
                f"leave one of them out ({_EVEN} is what workers of equal size want)",
            )


def _offsets(say: Finder, at: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    if metadata.get("offsetResetPolicy", "latest") == "latest":
        yield say.warning(
            "reset-to-latest",
            f"{at}.offsetResetPolicy",
            "a partition without a committed offset counts as a lag of 1 with `latest`, empty or "
            "full: an empty topic keeps a pod up, a full one gets no more than one for each "
            "partition",
            'write offsetResetPolicy: "earliest", the same in the consumer, and commit an offset '
            "for every partition when the topic is made",
        )
    if str(metadata.get("scaleToZeroOnInvalidOffset")).lower() == "true":
        yield say.warning(
            "lost-offsets-are-nothing",
            f"{at}.scaleToZeroOnInvalidOffset",
            "when the offsets have expired, the lag reads as 0 whatever lies in the topic, and "
            "nothing wakes the pods",
            "leave it out, and commit an offset for every partition",
        )


def _measures(
    say: Finder, place: str, trigger: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[Finding]:
    if "lagThreshold" not in metadata:
        yield say.warning(
            "threshold-by-default",
            f"{place}.metadata.lagThreshold",
            "without one, 10 records of lag ask for one pod more, however fast a pod is",
            "write the records that one pod does in the time that a record may wait: 30 s at 20/s "
            'are "600"',
        )
    persistent = str(metadata.get("excludePersistentLag")).lower() == "true"
    if persistent and trigger.get("useCachedMetrics") is not True:
        yield say.error(
            "flapping",
            f"{place}.metadata.excludePersistentLag",
            "KEDA's own poll and the autoscaler's query share one previous offset, so the later of "
            "two close reads sees no progress and answers 0: a busy group goes up and down between "
            "its maximum and 1",
            "leave it out, or write useCachedMetrics: true on the trigger too",
        )
    if str(metadata.get(_IDLE)).lower() == "true":
        yield say.warning(
            "idle-pods",
            f"{place}.metadata.{_IDLE}",
            "pods beyond the number of partitions get no partition and do nothing",
            "leave it out, and give the topic more partitions when one pod for each is too few",
        )
    if str(metadata.get("unsafeSsl")).lower() == "true":
        yield say.warning(
            "unchecked-certificate",
            f"{place}.metadata.unsafeSsl",
            "KEDA talks to whoever answers, and shows them its password",
            "leave it out, and give the CA as `ca` in the TriggerAuthentication",
        )
