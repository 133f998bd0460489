"""Every topic and group name of a pipeline, and what each topic must be like."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Final

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.queues import Lane, Queue


@dataclass(frozen=True, slots=True)
class Tier:
    """A delay tier: a topic whose records all wait the same time. `soon` waits until due."""

    name: str
    wait: timedelta
    wait_ms: int = field(init=False, repr=False)
    """The same in milliseconds."""

    def __post_init__(self) -> None:
        """Reckon it once: it is asked for each record that is read."""
        object.__setattr__(self, "wait_ms", to_milliseconds(self.wait))

    @property
    def is_soon(self) -> bool:
        """Whether it is the tier that holds what is due within `SOON_HORIZON`."""
        return self.name == "soon"


SOON_HORIZON: Final = timedelta(seconds=10)
"""What is due within this goes to `soon` and waits in the scheduler's heap: so much is read again by
the next owner, before it knows what is due. The records leave in another order than they came, and
what one partition takes of them in this time must fit into a commit's map: some 18,000."""
SOON: Final = Tier("soon", SOON_HORIZON)
TIMED_TIERS: Final = (
    Tier("5s", timedelta(seconds=5)),
    Tier("10s", timedelta(seconds=10)),
    Tier("20s", timedelta(seconds=20)),
    Tier("30s", timedelta(seconds=30)),
    Tier("1m", timedelta(minutes=1)),
    Tier("2m", timedelta(minutes=2)),
    Tier("5m", timedelta(minutes=5)),
    Tier("10m", timedelta(minutes=10)),
    Tier("30m", timedelta(minutes=30)),
    Tier("2h", timedelta(hours=2)),
    Tier("8h", timedelta(hours=8)),
    Tier("24h", timedelta(hours=24)),
)
TIERS: Final = (SOON, *TIMED_TIERS)
ARRIVAL: Final = timedelta(seconds=2)
"""A record's wait in a timed tier is over so long before it is due, at least: it is moved and read
once more by then. Delays of exactly a tier's wait are common, and would be late by that."""
LONGEST_WAIT: Final = TIMED_TIERS[-1].wait
_ENTERED: Final = [
    (tier.wait + max(ARRIVAL, tier.wait / 3)) // timedelta(milliseconds=1) for tier in TIMED_TIERS
]
"""Of each timed tier, milliseconds that a record must have left to enter it: a third of its wait
more than that. What came in a burst wants to leave in one too, and nothing of it is due before that
has been moved."""
_SOON_MS: Final = SOON_HORIZON // timedelta(milliseconds=1)


def tier_for(remaining: int) -> Tier:
    """Choose the tier that a record enters.

    It is `soon` for what is due within the horizon, else the largest whose wait is over well before.

    Args:
        remaining: Milliseconds until it is due.
    """
    if remaining <= _SOON_MS:
        return SOON
    return TIMED_TIERS[bisect_right(_ENTERED, remaining) - 1]


@dataclass(frozen=True)
class Topology:
    """The names of a pipeline's topics and groups."""

    pipeline: str
    queues: tuple[Queue, ...]

    def lanes(self) -> Iterator[Lane]:
        """Every lane: queues in the order of declaration, priorities from the most urgent."""
        for queue in self.queues:
            for priority in queue.priorities:
                yield Lane(self.pipeline, queue.name, priority)

    def dead_letters(self, queue: str) -> str:
        """The dead-letter topic of a queue."""
        return f"{self.pipeline}.{queue}.dlq"

    def dedup(self, queue: str) -> str:
        """Compacted: which submissions of a queue's `dedup_key`s came first."""
        return f"{self.pipeline}.{queue}.dedup"

    def tier(self, tier: Tier) -> str:
        """The topic of a delay tier."""
        return f"{self.pipeline}.delay.{tier.name}"

    @property
    def events(self) -> str:
        """Transitions of every job."""
        return f"{self.pipeline}.events"

    @property
    def control(self) -> str:
        """Compacted: what operators ordered."""
        return f"{self.pipeline}.control"

    @property
    def schedules(self) -> str:
        """Compacted: recurring jobs."""
        return f"{self.pipeline}.schedules"

    @property
    def schemas(self) -> str:
        """Compacted: Avro schemas by fingerprint."""
        return f"{self.pipeline}.schemas"

    @property
    def workers(self) -> str:
        """Compacted: the last heartbeat of each worker and scheduler."""
        return f"{self.pipeline}.workers"

    @property
    def letters(self) -> str:
        """Compacted: what was done about dead letters."""
        return f"{self.pipeline}.letters"

    @property
    def stats(self) -> str:
        """Compacted: the statistics that were published last."""
        return f"{self.pipeline}.stats"

    @property
    def statistics_group(self) -> str:
        """The consumer group, and Faust's app, that counts the statistics."""
        return f"{self.pipeline}.statistics"

    @property
    def statistics_rows(self) -> str:
        """Compacted: what the statistics have counted, as Faust stores a table named `rows`."""
        return f"{self.statistics_group}-rows-changelog"

    @property
    def audit(self) -> str:
        """Who changed what by hand, when and why."""
        return f"{self.pipeline}.audit"

    @property
    def scheduler_group(self) -> str:
        """The consumer group that reads the delay tiers."""
        return f"{self.pipeline}.scheduler"

    def lane_of_topic(self, topic: str) -> Lane | None:
        """Find the lane of a topic name; None when it is not a lane of this pipeline."""
        return self._by_topic.get(topic)

    @cached_property
    def _by_topic(self) -> Mapping[str, Lane]:
        """Made once: whoever reads transitions asks for each of them."""
        return {lane.topic: lane for lane in self.lanes()}
