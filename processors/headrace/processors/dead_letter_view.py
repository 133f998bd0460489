"""Dead letters as operators see them: a list, one in full, figures."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.job_history import require
from headrace.processors.job_search import created_in
from headrace.processors.job_view import both_times
from headrace.processors.payloads import Payload, PayloadReader
from headrace.processors.reader import Progress, TailReader, TopicReader
from headrace.processors.sightings import Location, Sighting, sight
from headrace.processors.snapshot import CLOCK_MARGIN, Cluster, LogSpan
from headrace.schemas import headers
from headrace.schemas.headers import PastAttempt

_FIRST_WINDOW: Final = 100
_DIGITS: Final = re.compile(r"\d+")
_HEX: Final = re.compile(r"\b[0-9a-f]{8,}(?:-[0-9a-f]{4,}){0,4}\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One job that will not be tried again by itself. Times in epoch milliseconds.

    Attributes:
        reason: One of `DeadReason`.
        died: When.
        attempts: How often it was tried; 0 for a record that is no job.
        created: When it was submitted; None for a record that is no job.
        origin: `topic/partition/offset` of the lane's record that died.
        history: What became of its last attempts, oldest first.
        location: Where it lies.
        headers: The record's other headers, as the producer wrote them.
    """

    job_id: str
    job_type: str
    queue: str
    reason: str
    died: int
    attempts: int
    error_type: str
    error_message: str
    traceback: str
    created: int | None
    generation: int
    tenant: str | None
    key: str | None
    worker: str | None
    origin: str | None
    history: tuple[PastAttempt, ...]
    location: Location
    payload: bytes | None
    headers: Mapping[str, str | None]

    @property
    def fingerprint(self) -> str:
        """The error with numbers and ids stripped, so that alike errors count as one."""
        message = self.error_message.splitlines()[0] if self.error_message else ""
        plain = _DIGITS.sub("#", _HEX.sub("#", message))
        return f"{self.error_type}: {plain}" if plain else self.error_type

    def as_json(self) -> dict[str, object]:
        """Keys: `job_id`, `job_type`, `queue`, `reason`, `died_ms`, `died`, `attempts`,
        `error_type`, `error_message`, `created_ms`, `created`, `generation`, `tenant`, `key`,
        `location`."""  # noqa: D205, D209
        return {
            "job_id": self.job_id,
            "job_type": self.job_type,
            "queue": self.queue,
            "reason": self.reason,
            **both_times("died", self.died),
            "attempts": self.attempts,
            "error_type": self.error_type,
            "error_message": self.error_message,
            **both_times("created", self.created),
            "generation": self.generation,
            "tenant": self.tenant,
            "key": self.key,
            "location": self.location.as_json(),
        }

    def in_full(self, arguments: Payload | None) -> dict[str, object]:
        """Keys of `as_json`, and `worker`, `origin`, `traceback`, `history`, `headers`,
        `arguments` (left out when None)."""  # noqa: D205, D209
        full = self.as_json() | {
            "worker": self.worker,
            "origin": self.origin,
            "traceback": self.traceback,
            "history": [
                {
                    "attempt": past.attempt,
                    **both_times("at", past.at),
                    "error_type": past.error_type,
                    "error_message": past.error_message,
                }
                for past in self.history
            ],
            "headers": dict(self.headers),
        }
        return full if arguments is None else full | {"arguments": arguments.as_json()}


class DeadLetters:
    """The dead letters of a pipeline, those of finished transactions only.

    Every method raises KafkaUnavailableError when Kafka gives no answer in time, TopicError when
    it refuses, and SettingsError for a queue that the pipeline does not declare.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, progress: Progress | None = None
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._progress = progress
        self._cluster = Cluster(kafka)
        self._queues = {pipeline.topology.dead_letters(queue): queue for queue in pipeline.queues}

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are read."""
        return tuple(self._queues)

    def newest(self, queue: str | None = None, limit: int = 20) -> list[DeadLetter]:
        """List dead letters, those first that died last. Reads no more than that takes."""
        with TopicReader(self._kafka, self._progress) as reader:
            tail = TailReader(reader, self._spans(queue), lambda _: _FIRST_WINDOW)
            found: list[tuple[int, DeadLetter]] = []
            while True:
                found += [(m.timestamp()[1], self._read(sight(m, _DEAD))) for m in tail.more()]
                certain = [each for at, each in found if min(at, each.died) >= tail.horizon]
                if tail.exhausted or len(certain) >= limit:
                    return sorted(certain, key=lambda each: each.died, reverse=True)[:limit]

    def find(self, job_id: str) -> DeadLetter | None:
        """Find the last dead letter of a job; None when there is none."""
        made = created_in(job_id)
        spans = self._spans(None)
        if made is not None:
            spans = self._cluster.since(spans, made - CLOCK_MARGIN)
        found = [each for each in self._letters(spans) if each.job_id == job_id]
        return max(found, key=lambda each: (each.generation, each.died), default=None)

    def all(self, queue: str | None = None) -> Iterator[DeadLetter]:
        """Give every dead letter, in no order."""
        return self._letters(self._spans(queue))

    def arguments(self, letter: DeadLetter) -> Payload:
        """Decode what the job was submitted with, or dump it."""
        return PayloadReader(self._pipeline, self._kafka).arguments(letter.job_type, letter.payload)

    def _letters(self, spans: Iterable[LogSpan]) -> Iterator[DeadLetter]:
        with TopicReader(self._kafka, self._progress) as reader:
            for message in reader.read(spans):
                yield self._read(sight(message, _DEAD))

    def _spans(self, queue: str | None) -> list[LogSpan]:
        if queue is not None and queue not in self._pipeline.queues:
            raise SettingsError(
                f"pipeline {self._pipeline.name!r} declares no queue {queue!r} (declared: "
                f"{', '.join(self._pipeline.queues)})"
            )
        snapshot = self._cluster.snapshot(self._pipeline, (_DEAD,))
        asked = [topic for topic, name in self._queues.items() if queue in (None, name)]
        for topic in asked:
            require(snapshot, topic)
        return [span for span in snapshot.of((_DEAD,)) if span.topic in asked]

    def _read(self, found: Sighting) -> DeadLetter:
        job = found.job
        return DeadLetter(
            job.job_id,
            job.job_type,
            self._queues[found.location.topic],
            found.text(headers.REASON) or "",
            _number(found.text(headers.DIED), found.appended),
            job.attempt if job.job_type else 0,
            found.text(headers.ERROR_TYPE) or "",
            found.text(headers.ERROR_MESSAGE) or "",
            found.text(headers.TRACEBACK) or "",
            job.created if job.job_type else None,
            job.generation,
            job.tenant,
            found.ordering_key,
            found.text(headers.WORKER),
            found.text(headers.ORIGIN),
            job.history,
            found.location,
            found.payload,
            {name: found.text(name) for name in found.raw if name not in _TOLD},
        )


_DEAD: Final = Role.DEAD_LETTERS
_TOLD: Final = frozenset(
    {
        headers.REASON, headers.DIED, headers.ERROR_TYPE, headers.ERROR_MESSAGE,
        headers.TRACEBACK, headers.ORIGIN, headers.WORKER, headers.HISTORY,
    }
)  # fmt: skip


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() else otherwise
