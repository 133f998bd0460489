"""Which initial offsets are committed, and which nobody may guess."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.pipeline.topics.state import ClusterState, Span

Start = Literal["earliest", "latest"]
"""Where a group begins whose offset is not known: with every record kept, or with the next."""


@dataclass(frozen=True, slots=True)
class OffsetStep:
    """The initial offsets of one topic for the group that reads it.

    Attributes:
        topic: The topic.
        group: The group.
        commits: The offset to commit, by partition.
        waiting: New partitions that the group's live workers begin at 0 by themselves.
        problem: Why offsets are missing that nobody may guess, and what to do; None if none are.
    """

    topic: str
    group: str
    commits: Mapping[int, int]
    waiting: tuple[int, ...] = ()
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every partition has an offset once this is done."""
        return not self.waiting and self.problem is None


def starting_offset_allowed(partition: int, known: int | None) -> bool:
    """Tell whether a worker may begin a partition at 0 when its group has no offset there.

    Args:
        partition: The partition.
        known: How many partitions got initial offsets (`known_partitions`): the later ones were
            added to a live lane. None, when nothing is recorded, allows nothing.
    """
    return known is not None and partition >= known


def for_new_topic(topic: str, group: str, partitions: int) -> OffsetStep:
    """Begin a topic that does not exist yet at 0 everywhere."""
    return OffsetStep(topic, group, dict.fromkeys(range(partitions), 0))


def for_topic(
    topic: str, group: str, before: int, after: int, state: ClusterState, start: Start | None
) -> OffsetStep:
    """Decide for a topic that exists.

    Args:
        topic: The topic.
        group: The group that reads it.
        before: Its partitions now.
        after: Its partitions once it has grown.
        state: The cluster.
        start: What the operator chose for partitions whose offset is lost.
    """
    committed = state.committed.get(group, {})
    known = state.known_partitions.get(topic)
    missing = [p for p in range(before) if (topic, p) not in committed]
    added = {p for p in missing if starting_offset_allowed(p, known)} | set(range(before, after))
    lost = [p for p in missing if p not in added]
    if group in state.live_groups:
        problem = _kept_by_worker(topic, group, lost) if lost else None
        return OffsetStep(topic, group, {}, waiting=tuple(sorted(added)), problem=problem)
    # A partition that the same plan adds holds nothing yet; an added one may have been used
    commits = {p: _span(state, topic, p).start for p in added}
    unknown: list[int] = []
    for partition in lost:
        offset = _initial(_span(state, topic, partition), start)
        if offset is None:
            unknown.append(partition)
        else:
            commits[partition] = offset
    problem = _unknown(topic, group, unknown) if unknown else None
    return OffsetStep(topic, group, dict(sorted(commits.items())), problem=problem)


def _span(state: ClusterState, topic: str, partition: int) -> Span:
    return state.spans.get((topic, partition), Span(0, 0))


def _initial(span: Span, start: Start | None) -> int | None:
    if start == "latest":
        return span.end
    if start == "earliest" or span.empty:
        return span.start
    return None


def _kept_by_worker(topic: str, group: str, partitions: Iterable[int]) -> str:
    return (
        f"{topic}: group {group} has no offset in {listed(partitions)}, and its live workers keep "
        "its offsets (Kafka refuses those of others): let them commit, or stop them and apply again"
    )


def _unknown(topic: str, group: str, partitions: Iterable[int]) -> str:
    return (
        f"{topic}: {listed(partitions)} holds records, but group {group} has no offset there, so "
        "nobody knows which of them are done: choose with `headrace topics apply --from earliest` "
        "(all that are kept run, perhaps again) or `--from latest` (they are skipped), or the same "
        "with `headrace worker --from`"
    )


def listed(partitions: Iterable[int]) -> str:
    """Write partitions shortly: `partitions 0-3, 7`."""
    runs: list[tuple[int, int]] = []
    for partition in sorted(partitions):
        if runs and runs[-1][1] == partition - 1:
            runs[-1] = (runs[-1][0], partition)
        else:
            runs.append((partition, partition))
    words = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
    single = len(runs) == 1 and runs[0][0] == runs[0][1]
    return f"{'partition' if single else 'partitions'} {words}"
