"""A replay that is only tried: what would run, what would be refused and why, and for how long."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from confluent_kafka import Message

from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.repair.drain import LaneDrain, drains
from headrace.processors.repair.replay_check import LetterCheck, Refused
from headrace.processors.repair.replay_definition import ReplayOptions
from headrace.processors.repair.replay_letters import LetterSelection


@dataclass(frozen=True, slots=True)
class RefusedKind:
    """Letters that would be refused for the same cause.

    Attributes:
        cause: One of `Cause`.
        count: How many.
        job_types: How many of each job type.
        sample: The job id of the first.
        detail: What exactly was found there.
    """

    cause: str
    count: int
    job_types: Mapping[str, int]
    sample: str
    detail: str

    def as_json(self) -> dict[str, object]:
        """Keys: `cause`, `count`, `by_job_type`, `sample_job_id`, `sample_detail`."""
        return {
            "cause": self.cause,
            "count": self.count,
            "by_job_type": dict(self.job_types),
            "sample_job_id": self.sample,
            "sample_detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a replay would do now.

    Attributes:
        matched: Letters that meet the conditions.
        runs: How many of each job type would run.
        refused: What would be refused, the most frequent first.
        lanes: What each lane would get, and how long it would take.
        rate: Letters a second that the replay would keep to; None without a limit.
        without_order: The ordered queues that letters would go to: their jobs come behind those
            that are there.
    """

    matched: int
    runs: Mapping[str, int]
    refused: tuple[RefusedKind, ...]
    lanes: tuple[LaneDrain, ...]
    rate: float | None
    without_order: tuple[str, ...]

    @property
    def would_run(self) -> int:
        """How many letters would go to a lane."""
        return sum(self.runs.values())

    @property
    def writing_seconds(self) -> float | None:
        """How long the replay itself would take at least; None without a rate."""
        return None if self.rate is None else self.would_run / self.rate

    @property
    def seconds(self) -> float | None:
        """When all would be over: the slowest lane, or the replay's own rate.

        None when a lane did nothing lately, so that its rate is not known.
        """
        known = [lane.seconds for lane in self.lanes]
        slowest = [each for each in known if each is not None]
        if len(slowest) < len(known):
            return None
        return max([*slowest, self.writing_seconds or 0.0], default=0.0)

    def as_json(self) -> dict[str, object]:
        """Keys: `dry_run` (true), `matched`, `would_run`, `by_job_type`, `would_be_refused`,
        `refused`, `lanes`, `rate_per_s`, `writing_seconds`, `expected_seconds`,
        `queues_that_lose_order`."""  # noqa: D205, D209
        return {
            "dry_run": True,
            "matched": self.matched,
            "would_run": self.would_run,
            "by_job_type": dict(self.runs),
            "would_be_refused": sum(each.count for each in self.refused),
            "refused": [each.as_json() for each in self.refused],
            "lanes": [lane.as_json() for lane in self.lanes],
            "rate_per_s": self.rate,
            "writing_seconds": self.writing_seconds,
            "expected_seconds": self.seconds,
            "queues_that_lose_order": list(self.without_order),
        }


class DryRunner:
    """Looks at letters as a replay would. Holds figures, never the letters.

    Args:
        pipeline: The declaration with its handlers.
        kafka: Where Kafka is.
        options: How to replay.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings, options: ReplayOptions) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._options = options
        self._runs: Counter[str] = Counter()
        self._lanes: Counter[str] = Counter()
        self._ordered: set[str] = set()
        self._refused: dict[str, Counter[str]] = {}
        self._samples: dict[str, tuple[str, str]] = {}

    def run(
        self, messages: Iterable[Message], selection: LetterSelection, check: LetterCheck
    ) -> DryRun:
        """Look at every letter of some records of dead-letter topics."""
        matched = 0
        found = (selection.choose(message) for message in messages)
        for chosen in islice((each for each in found if each), self._options.limit):
            matched += 1
            job, verdict = chosen.sighting.job, check.judge(chosen.sighting, chosen.mark)
            if isinstance(verdict, Refused):
                self._refuse(job.job_type, job.job_id, verdict)
                continue
            self._runs[job.job_type] += 1
            self._lanes[verdict.topic] += 1
            if self._pipeline.queues[verdict.queue].ordered:
                self._ordered.add(verdict.queue)
        return DryRun(
            matched,
            dict(self._runs.most_common()),
            tuple(self._kinds()),
            drains(self._pipeline, self._kafka, self._lanes),
            self._options.rate,
            tuple(sorted(self._ordered)),
        )

    def _refuse(self, job_type: str, job_id: str, refused: Refused) -> None:
        cause = refused.cause.value
        self._refused.setdefault(cause, Counter())[job_type] += 1
        self._samples.setdefault(cause, (job_id, refused.detail))

    def _kinds(self) -> list[RefusedKind]:
        kinds = [
            RefusedKind(cause, counted.total(), dict(counted.most_common()), *self._samples[cause])
            for cause, counted in self._refused.items()
        ]
        return sorted(kinds, key=lambda kind: -kind.count)
