"""Adding partitions to the lane of an ordered queue: only once it is drained.

With more partitions a key's next jobs go to another partition, where they would start beside
those that still wait in the old one.
"""

from collections.abc import Iterable, Mapping

from headrace.pipeline.topics.plan import TopicStep
from headrace.pipeline.topics.reading import ClusterReader
from headrace.pipeline.topics.state import ClusterState
from headrace.pipeline.topics.wanted import WantedTopic


def refusal(wanted: WantedTopic, before: int, state: ClusterState) -> str | None:
    """Say why a topic must not grow yet; None if it may.

    Args:
        wanted: What it must be like.
        before: Its partitions now.
        state: The cluster, with what its partitions hold.
    """
    if not wanted.ordered or wanted.group is None:
        return None
    lag = sum(state.lag(wanted.group, (wanted.name, p)) for p in range(before))
    if not lag:
        return None
    return (
        f"{wanted.name} is the lane of an ordered queue and has a lag of {lag}: with "
        f"{wanted.partitions} partitions instead of {before} a key's next jobs would go to another "
        "partition and start beside those that wait in the old one; stop what submits to it, let "
        "its workers go on until `headrace lag` shows 0, and apply again with --grow-partitions; "
        "then start again what submits (a running client learns of partitions minutes later)"
    )


def undrained(cluster: ClusterReader, growing: Iterable[TopicStep]) -> Mapping[str, str]:
    """Look again right before partitions are added, because jobs may have come since the plan.

    Returns:
        For each topic that must not grow the reason.
    """
    ordered = [step for step in growing if step.wanted.ordered]
    places = {
        step.wanted.group: [(step.wanted.name, p) for p in range(step.before)]
        for step in ordered
        if step.wanted.group
    }
    state = ClusterState(
        committed=cluster.committed(places),
        spans=cluster.spans((step.wanted.name, p) for step in ordered for p in range(step.before)),
    )
    reasons = {step.wanted.name: refusal(step.wanted, step.before, state) for step in ordered}
    return {topic: reason for topic, reason in reasons.items() if reason}
