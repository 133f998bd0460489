"""What a measurement of lag says. Times in epoch milliseconds, ages in seconds."""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.processors.times import both_times


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of a lane or delay tier.

    Attributes:
        partition: Its number.
        commit_point: Below it every record is done; None when the group has no offset here, so
            that nobody can say what is left.
        end: The offset that the next record gets.
        messages: Jobs that are not finished; 0 when `commit_point` is None.
        since: Since when the oldest of them waits: on a lane since it was made or became due, on
            a tier since it was put there.
        finished: Offsets above the commit point that are finished.
        lost: Offsets that retention deleted before their records were finished.
        exact: Whether `messages` was counted; else it is an upper bound.
        next_due: On a tier: when the first of them is due.
    """

    partition: int
    commit_point: int | None
    end: int
    messages: int
    since: int | None
    finished: int = 0
    lost: int = 0
    exact: bool = True
    next_due: int | None = None


@dataclass(frozen=True, slots=True)
class TopicLag:
    """A lane or delay tier. A topic that does not exist has no partitions.

    Attributes:
        topic: Its name.
        group: The consumer group that works on it.
        state: The group's state, such as `stable`, `empty` or `dead`.
        members: How many workers (or schedulers) are in the group.
        partitions: Each of them.
    """

    topic: str
    group: str
    state: str
    members: int
    partitions: tuple[PartitionLag, ...]

    @property
    def messages(self) -> int:
        """Jobs that are not finished, over all partitions."""
        return sum(part.messages for part in self.partitions)

    @property
    def exact(self) -> bool:
        """Whether `messages` is exact."""
        return all(part.exact for part in self.partitions)

    @property
    def since(self) -> int | None:
        """Since when the oldest waits; None when none does."""
        return _least(part.since for part in self.partitions)

    @property
    def next_due(self) -> int | None:
        """On a tier: when the first is due."""
        return _least(part.next_due for part in self.partitions)

    @property
    def lost(self) -> int:
        """Offsets that retention deleted before their records were finished."""
        return sum(part.lost for part in self.partitions)

    @property
    def without_offset(self) -> tuple[int, ...]:
        """Partitions where the group has no offset."""
        return tuple(part.partition for part in self.partitions if part.commit_point is None)


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """How many dead letters a topic keeps; an upper bound unless `exact`."""

    topic: str
    messages: int
    exact: bool


@dataclass(frozen=True, slots=True)
class LagReport:
    """A pipeline's lag at one moment, `at`."""

    pipeline: str
    at: int
    lanes: tuple[TopicLag, ...]
    tiers: tuple[TopicLag, ...]
    dead_letters: tuple[DeadLetterCount, ...]

    def age(self, since: int | None) -> float | None:
        """Seconds since a time; never negative, whatever the clocks say."""
        return None if since is None else max(0, self.at - since) / 1000

    def overdue(self, found: PartitionLag | TopicLag) -> float | None:
        """Seconds by which the first due job is late; None when none is due yet."""
        late = found.next_due is not None and found.next_due <= self.at
        return self.age(found.next_due) if late else None

    def as_json(self) -> dict[str, object]:
        """Give the report with stable keys.

        Keys: `pipeline`, `at_ms`, `at`, `lanes`, `tiers`, `dead_letters`. Of a lane or tier:
        `topic`, `exists`, `group` (`name`, `state`, `members`), `messages`, `exact`,
        `oldest_age_seconds`, `oldest_since_ms`, `oldest_since`, `lost`, `without_offset`,
        `partitions`; a tier also has `next_due_ms`, `next_due` and `overdue_seconds`. Of a
        partition: `partition`, `commit_point`, `end`, `finished_above`, and of the same names.
        """
        return {
            "pipeline": self.pipeline,
            **both_times("at", self.at),
            "lanes": [self._topic(lane, due=False) for lane in self.lanes],
            "tiers": [self._topic(tier, due=True) for tier in self.tiers],
            "dead_letters": [
                {"topic": dead.topic, "messages": dead.messages, "exact": dead.exact}
                for dead in self.dead_letters
            ],
        }

    def _topic(self, found: TopicLag, *, due: bool) -> dict[str, object]:
        return {
            "topic": found.topic,
            "exists": bool(found.partitions),
            "group": {"name": found.group, "state": found.state, "members": found.members},
            **self._figures(found, due=due),
            "without_offset": list(found.without_offset),
            "partitions": [self._partition(part, due=due) for part in found.partitions],
        }

    def _partition(self, found: PartitionLag, *, due: bool) -> dict[str, object]:
        return {
            "partition": found.partition,
            "commit_point": found.commit_point,
            "end": found.end,
            "finished_above": found.finished,
            **self._figures(found, due=due),
        }

    def _figures(self, found: TopicLag | PartitionLag, *, due: bool) -> dict[str, object]:
        figures: dict[str, object] = {
            "messages": found.messages,
            "exact": found.exact,
            "oldest_age_seconds": self.age(found.since),
            **both_times("oldest_since", found.since),
            "lost": found.lost,
        }
        if due:
            figures |= both_times("next_due", found.next_due)
            figures["overdue_seconds"] = self.overdue(found)
        return figures


def _least(times: Iterable[int | None]) -> int | None:
    return min((time for time in times if time is not None), default=None)
