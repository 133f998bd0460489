"""What became of the jobs that a replay sent to lanes: followed through to success or death."""

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.batches import BatchReader
from headrace.processors.job_history import require
from headrace.processors.reader import Progress, TopicReader
from headrace.processors.repair.replay_definition import Phase
from headrace.processors.repair.replay_store import ReplayedJob, StoredReplay, read_replay
from headrace.processors.snapshot import CLOCK_MARGIN, Cluster, LogSpan
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

_SAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class ReplayStatus:
    """How a replay and its jobs stand.

    Attributes:
        replay: What it was to do, and how far it is.
        states: How many of its jobs are in which state. One that no transition tells of is queued.
        errors: Of those that died again, how many of which error.
        dead: The ids of some that died again.
    """

    replay: StoredReplay
    states: Mapping[str, int]
    errors: Mapping[str, int]
    dead: tuple[str, ...]

    @property
    def jobs(self) -> int:
        """How many jobs it sent to lanes."""
        return sum(self.states.values())

    @property
    def waiting(self) -> int:
        """How many of them are not over."""
        return sum(n for state, n in self.states.items() if not JobState(state).is_final)

    @property
    def succeeded(self) -> int:
        """How many of them succeeded."""
        return self.states.get(JobState.SUCCEEDED.value, 0)

    @property
    def is_over(self) -> bool:
        """Whether nothing follows: the replay has finished, and all of its jobs are over."""
        return self.replay.progress.phase is Phase.FINISHED and not self.waiting

    def is_abandoned(self, now: int) -> bool:
        """Whether nobody seems to work on the replay, though it has not finished.

        Args:
            now: Epoch milliseconds.
        """
        return self.replay.is_abandoned(now)

    def as_json(self) -> dict[str, object]:
        """Keys: those of `StoredReplay.as_json`, and `jobs`, `waiting`, `over`, `states`,
        `errors`, `dead_job_ids` (some of them)."""  # noqa: D205, D209
        return self.replay.as_json() | {
            "jobs": self.jobs,
            "waiting": self.waiting,
            "over": self.is_over,
            "states": dict(self.states),
            "errors": dict(self.errors),
            "dead_job_ids": list(self.dead),
        }


class StatusReader(AbstractContextManager["StatusReader"]):
    """Tells again and again how a replay stands; reads what is new only. One thread owns it.

    Args:
        pipeline: The declaration; handlers are not needed.
        kafka: Where Kafka is.
        name: The replay.
        progress: Told how far a reading is.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        name: str,
        progress: Progress | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._name = name
        self._cluster = Cluster(kafka)
        self._reader = TopicReader(kafka, progress)
        self._batches = BatchReader(kafka, pipeline.topology)
        self._positions: dict[Place, int] = {}
        self._latest: dict[ReplayedJob, Transition] = {}
        self._replay: StoredReplay | None = None
        self._jobs: tuple[ReplayedJob, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.__exit__(kind, error, trace)

    def read(self) -> ReplayStatus:
        """Tell how the replay and its jobs stand now.

        Raises:
            NoReplayError: There is no replay of this name.
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: Kafka refused.
        """
        if self._replay is None or self._replay.progress.phase is not Phase.FINISHED:
            self._replay, self._jobs = read_replay(self._kafka, self._pipeline.topology, self._name)
        for message in self._reader.read(self._new(self._replay.definition.at)):
            for each in self._batches.read(message):
                self._take(each)
        return self._status(self._replay)

    def _new(self, begun: int) -> list[LogSpan]:
        snapshot = self._cluster.snapshot(self._pipeline, (Role.EVENTS,))
        require(snapshot, self._pipeline.topology.events)
        spans = snapshot.of((Role.EVENTS,))
        if self._positions:
            new = [span.from_offset(self._positions.get(span.place, 0)) for span in spans]
        else:
            new = self._cluster.since(spans, begun - CLOCK_MARGIN)
        self._positions = {span.place: span.end for span in spans}
        return new

    def _take(self, each: Transition) -> None:
        """Note a transition of a replayed job, of whichever replay: its mark may not be read yet."""
        if not each.generation or each.state == JobState.DUPLICATE:
            return
        job = ReplayedJob(each.job_id, each.generation)
        known = self._latest.get(job)
        if known is None or known.order < each.order:
            self._latest[job] = each

    def _status(self, replay: StoredReplay) -> ReplayStatus:
        states: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        dead: list[str] = []
        for job in self._jobs:
            last = self._latest.get(job)
            states[last.state if last else JobState.QUEUED.value] += 1
            if last is not None and last.state == JobState.DEAD:
                errors[last.error_type or last.reason or ""] += 1
                dead.append(job.job_id)
        return ReplayStatus(
            replay, dict(states.most_common()), dict(errors.most_common()), tuple(dead[:_SAMPLES])
        )
