"""How long lanes will take for what is to come, from how fast they were lately."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.consumers.clock import now_ms
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.batches import BatchReader
from headrace.processors.reader import TopicReader
from headrace.processors.snapshot import Cluster, LogSpan, Snapshot
from headrace.schemas.states import JobState

RECENT: Final = 300_000
"""Milliseconds that count as lately."""
_MOST_OFFSETS: Final = 400
"""Of a partition of the events topic that are read: one holds up to 500 transitions."""
_SHORTEST: Final = 1_000
"""Milliseconds by which jobs are divided at least: one alone is no rate."""
_LEFT: Final = frozenset(
    state for state in JobState if state.is_final or state is JobState.RETRYING
) - {JobState.DUPLICATE}


@dataclass(frozen=True, slots=True)
class LaneDrain:
    """What a lane has before it.

    Attributes:
        lane: Its topic.
        jobs: How many are to come.
        waiting: How many lie there already.
        rate: Jobs a second that left it lately; None when none did.
    """

    lane: str
    jobs: int
    waiting: int
    rate: float | None

    @property
    def seconds(self) -> float | None:
        """How long it takes for all of them at that rate; None when it is not known."""
        return (self.jobs + self.waiting) / self.rate if self.rate else None

    def as_json(self) -> dict[str, object]:
        """Keys: `lane`, `jobs`, `waiting`, `recent_rate_per_s`, `seconds`."""
        return {
            "lane": self.lane,
            "jobs": self.jobs,
            "waiting": self.waiting,
            "recent_rate_per_s": self.rate,
            "seconds": self.seconds,
        }


def drains(
    pipeline: Pipeline, kafka: KafkaSettings, jobs: Mapping[str, int]
) -> tuple[LaneDrain, ...]:
    """Tell how long lanes will take.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        jobs: By the topic of a lane, how many jobs are to come.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: Kafka refused.
    """
    if not jobs:
        return ()
    cluster = Cluster(kafka)
    snapshot = cluster.snapshot(pipeline, (Role.EVENTS, Role.LANE))
    spans = cluster.since(snapshot.of((Role.EVENTS,)), now_ms() - RECENT)
    recent = [span.from_offset(span.end - _MOST_OFFSETS) for span in spans]
    rates = _rates(pipeline, kafka, recent)
    return tuple(
        LaneDrain(lane, count, _waiting(snapshot, lane), rates.get(lane))
        for lane, count in sorted(jobs.items())
    )


def _rates(pipeline: Pipeline, kafka: KafkaSettings, spans: Iterable[LogSpan]) -> dict[str, float]:
    times: dict[str, list[int]] = {}
    batches = BatchReader(kafka, pipeline.topology)
    with TopicReader(kafka) as reader:
        for message in reader.read(spans):
            for each in batches.read(message):
                if each.state in _LEFT:
                    times.setdefault(each.lane, []).append(each.time)
    return {
        lane: len(found) * 1000 / max(_SHORTEST, max(found) - min(found))
        for lane, found in times.items()
    }


def _waiting(snapshot: Snapshot, lane: str) -> int:
    waiting = 0
    for span in snapshot.of((Role.LANE,)):
        commit = snapshot.commits.get(span.place)
        if span.topic == lane and commit is not None:
            left = span.from_offset(commit.offset)
            waiting += left.end - left.start - commit.done_within(left.start, left.end)
    return waiting
