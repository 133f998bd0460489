"""What a measurement of lag says. Times in epoch milliseconds, ages in seconds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from headrace.pipeline.topics import Role
from headrace.processors.lag.due_counts import LaneDue
from headrace.processors.lag.groups import Group
from headrace.processors.lag.observing import UNSEEN, Progress
from headrace.processors.lag.verdicts import FINE, Finding, Held, Verdict, worst
from headrace.processors.repair.letter_states import STORED, LetterState


class Running(NamedTuple):
    """What workers tell that they run of a partition."""

    jobs: int
    since: int
    """Since when the longest runs."""


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of a lane, delay tier or dead-letter topic.

    Attributes:
        partition: Its number.
        start: The first offset that is kept.
        end: The offset that the next record gets.
        commit_point: Below it every record is done; None when the group has no offset here, so
            that nobody can say what is left, and for dead letters.
        messages: Jobs that are not finished; 0 when `commit_point` is None. Of dead letters: all.
        since: Since when the oldest of them waits: since it was made or became due, on a tier
            since it was put there. None when nothing waits, or it may not be read.
        finished: Offsets above the commit point that are finished.
        lost: Offsets that retention deleted before their records were finished.
        exact: Whether `messages` was counted; else it is an upper bound.
        next_due: On a tier: when the first of them is due.
        retention_used: Which share of its time to live the oldest has used up, 1.0 when retention
            deletes it next; None when it is not known.
        running: What workers tell that they run of it; None when they tell nothing.
        progress: What moved.
        held: What an open transaction hides of it; counted nowhere else.
        finding: The verdict.
    """

    partition: int
    start: int
    end: int
    commit_point: int | None = None
    messages: int = 0
    since: int | None = None
    finished: int = 0
    lost: int = 0
    exact: bool = True
    next_due: int | None = None
    retention_used: float | None = None
    running: Running | None = None
    progress: Progress = UNSEEN
    held: Held | None = None
    finding: Finding = FINE

    @property
    def ready(self) -> int:
        """Jobs of a lane that are not started, as far as workers tell what they run."""
        return max(0, self.messages - (self.running.jobs if self.running else 0))


@dataclass(frozen=True, slots=True)
class TopicLag:
    """A lane, delay tier or dead-letter topic. One that does not exist has no partitions.

    Attributes:
        topic: Its name.
        role: What it is.
        group: The consumer group that works on it; None for dead letters.
        partitions: Each of them.
        due: Of a lane: what waits for it in the tiers; None when that is not known.
        settled: Of dead letters: about how many somebody did something, by what; None when that is
            not known.
        finding: The verdict on it: the worst of its partitions'.
        at: When it was measured.
    """

    topic: str
    role: Role
    group: Group | None
    partitions: tuple[PartitionLag, ...]
    due: LaneDue | None
    finding: Finding
    at: int
    settled: Mapping[LetterState, int] | None = None

    @property
    def letters(self) -> Mapping[LetterState, int] | None:
        """Of dead letters: how many are kept, by their state; None when that is not known."""
        if self.settled is None or not self.exact:
            return None
        left = self.messages - sum(self.settled.values())
        given = {state: self.settled.get(state, 0) for state in sorted(STORED)}
        return {LetterState.OPEN: max(0, left), **given}

    @property
    def messages(self) -> int:
        """Jobs that are not finished, or letters that are kept, over all partitions."""
        return sum(part.messages for part in self.partitions)

    @property
    def exact(self) -> bool:
        """Whether `messages` is exact."""
        return all(part.exact for part in self.partitions)

    @property
    def overdue(self) -> int | None:
        """Of a lane: jobs that are due, and lie in the tiers still."""
        return None if self.due is None else self.due.within(self.at)

    @property
    def ready(self) -> int:
        """Of a lane: jobs that are due and not started, those that lie in the tiers included."""
        return sum(part.ready for part in self.partitions) + (self.overdue or 0)

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
        if self.group is None:
            return ()
        return tuple(part.partition for part in self.partitions if part.commit_point is None)

    @property
    def rate_in(self) -> float | None:
        """Records a second that come; None when it was looked at once only."""
        return _total(part.progress.rate_in for part in self.partitions)

    @property
    def rate_out(self) -> float | None:
        """Records a second that are finished."""
        return _total(part.progress.rate_out for part in self.partitions)

    @property
    def closes_in(self) -> float | None:
        """Seconds until nothing waits, if it goes on like this; None when it never will."""
        rate_in, rate_out = self.rate_in, self.rate_out
        if not self.messages or rate_in is None or rate_out is None or rate_out <= rate_in:
            return 0.0 if self.partitions and not self.messages else None
        return self.messages / (rate_out - rate_in)

    @property
    def retention_used(self) -> float | None:
        """The largest share of the retention that anything unfinished has used up."""
        known = [p.retention_used for p in self.partitions if p.retention_used is not None]
        return max(known, default=None)

    @property
    def last_commit(self) -> int | None:
        """When anything was last seen to be finished; None when nothing was."""
        return max((p.progress.moved for p in self.partitions if p.progress.moved), default=None)


@dataclass(frozen=True, slots=True)
class LagReport:
    """A pipeline's lag at one moment, `at`.

    Attributes:
        pipeline: Its name.
        at: When.
        lanes: Each of them.
        tiers: Each of them.
        dead_letters: The dead-letter topic of each queue.
        notes: What could not be learnt, and why.
    """

    pipeline: str
    at: int
    lanes: tuple[TopicLag, ...]
    tiers: tuple[TopicLag, ...]
    dead_letters: tuple[TopicLag, ...]
    notes: tuple[str, ...] = ()

    @property
    def topics(self) -> Iterator[TopicLag]:
        """Lanes, tiers and dead letters."""
        yield from (*self.lanes, *self.tiers, *self.dead_letters)

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        return worst(topic.finding for topic in self.topics).verdict

    def age(self, since: int | None) -> float | None:
        """Seconds since a time; never negative, whatever the clocks say."""
        return None if since is None else max(0, self.at - since) / 1000

    def overdue(self, found: PartitionLag | TopicLag) -> float | None:
        """Seconds by which the first due job of a tier is late; None when none is due yet."""
        late = found.next_due is not None and found.next_due <= self.at
        return self.age(found.next_due) if late else None


def _least(times: Iterable[int | None]) -> int | None:
    return min((time for time in times if time is not None), default=None)


def _total(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None
