"""Looking at a dead letter with today's eyes: would it run, and if not, why not.

The same check stands in front of a dry run and of a replay, so that one says what the other does.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.consumers.clock import now_ms
from headrace.pipeline.claims import ClaimStore, claim_in
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.settings import ClaimSettings, KafkaSettings, load
from headrace.processors.repair.letter_states import LetterMark, LetterState
from headrace.processors.sightings import Sighting
from headrace.schemas.claims import ClaimLostError
from headrace.schemas.errors import ArgumentError, UndecodableError, UnknownSchemaError
from headrace.schemas.headers import format_time
from headrace.schemas.parsed import SchemaLookup

MAX_GENERATION: Final = 3
"""Replays after which a letter stays, unless told otherwise."""


class Cause(StrEnum):
    """Why a letter is not replayed. A closed list; every refused letter stays open."""

    NOT_A_JOB = "not-a-job"
    """Its headers are not those of a job."""
    TYPE_GONE = "type-gone"
    """The pipeline declares no job type of this name."""
    NO_HANDLER = "no-handler"
    """The job type is declared, but the module that was loaded attaches no handler to it."""
    ALREADY_REPLAYED = "already-replayed"
    """It was replayed; if its job died again, a newer letter tells of it."""
    TOO_MANY_REPLAYS = "too-many-replays"
    """It died again after as many replays as are allowed."""
    EXPIRED = "expired"
    """Its expiry has passed: a worker would drop it."""
    NO_LANE = "no-lane"
    """The lane that it names, or the one asked for, is none of this pipeline."""
    TOPIC_MISSING = "topic-missing"
    """The lane's topic does not exist."""
    SCHEMA_UNKNOWN = "schema-unknown"
    """Nobody knows the schema that its arguments were written with."""
    UNDECODABLE = "undecodable"
    """Its arguments are not what the schema they name says."""
    CLAIM_LOST = "claim-lost"
    """Its arguments are stored beside Kafka, and are not there any more, or were altered."""
    DOES_NOT_FIT = "does-not-fit"
    """Its arguments can be read, but today's handler does not take them."""
    TOO_LARGE = "too-large"
    """The lane's topic takes no record of this size."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why one letter stays: the cause, and what exactly was found."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Aim:
    """Where letters are to go, and which are to stay.

    Attributes:
        queue: The queue instead of the letter's own; None for its own.
        priority: The priority instead of the letter's own; None for its own, or the queue's
            default where the queue has no such priority.
        max_generation: Replays after which a letter stays.
        ignore_expiry: Whether letters go back though their expiry has passed. A worker drops an
            expired job, so its expiry is taken away.
    """

    queue: str | None = None
    priority: str | None = None
    max_generation: int = MAX_GENERATION
    ignore_expiry: bool = False

    def check(self, pipeline: Pipeline) -> None:
        """Refuse a queue or priority that the pipeline does not declare.

        Raises:
            SettingsError: Names what is declared.
        """
        if self.queue is not None and self.queue not in pipeline.queues:
            raise SettingsError(
                f"pipeline {pipeline.name!r} declares no queue {self.queue!r} to replay to "
                f"(declared: {', '.join(pipeline.queues)})"
            )
        queues = [self.queue] if self.queue is not None else list(pipeline.queues)
        offered = dict.fromkeys(p for queue in queues for p in pipeline.queues[queue].priorities)
        if self.priority is not None and self.priority not in offered:
            raise SettingsError(
                f"there is no priority {self.priority!r} to replay to in {', '.join(queues)} "
                f"(declared: {', '.join(offered)})"
            )


class LetterCheck:
    """Tells which lane a letter would go to, or why it must stay. Owned by one thread.

    Args:
        pipeline: The declaration with its handlers, as workers load it.
        kafka: Where unknown schemas are looked up.
        aim: Where letters are to go.
        topics: The topics that exist.
        now: Epoch milliseconds.

    Raises:
        FingerprintCollisionError: Two declared schemas share a fingerprint and differ.
        RegistryUnavailableError: HEADRACE_SCHEMA_REGISTRY_URL is no address of a registry.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        aim: Aim,
        topics: Collection[str],
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._pipeline = pipeline
        self._schemas: SchemaLookup = known_schemas(pipeline, kafka)
        self._claims = ClaimStore(load(ClaimSettings), pipeline.name)
        self._aim = aim
        self._topics = topics
        self._now = now
        self._lanes = {lane.topic: lane for lane in pipeline.topology.lanes()}

    def judge(self, letter: Sighting, mark: LetterMark | None = None) -> Lane | Refused:
        """Give the lane that the letter would go to, or why it must stay.

        Args:
            letter: The letter.
            mark: What was done about it.

        Raises:
            RegistryUnavailableError: The registry that knows its schema gives no answer.
            ClaimsUnavailableError: The store that has its arguments gives no answer.
        """
        if mark is not None and mark.state is LetterState.REPLAYED:
            by = f" by {mark.replay!r}" if mark.replay else ""
            return Refused(
                Cause.ALREADY_REPLAYED,
                f"it was replayed{by}; if its job died again, replay the letter of that death",
            )
        job = letter.job
        if not job.job_type:
            return Refused(Cause.NOT_A_JOB, "its headers name no job: discard it, or export it")
        refused = self._has_handler(job.job_type) or self._in_time(letter)
        if refused is not None:
            return refused
        lane = self._lane_of(job.lane)
        if isinstance(lane, Refused):
            return lane
        return self._readable(letter) or lane

    def _has_handler(self, name: str) -> Refused | None:
        declared = self._pipeline.job_types.get(name)
        if declared is None:
            known = ", ".join(sorted(self._pipeline.job_types)) or "none"
            return Refused(
                Cause.TYPE_GONE,
                f"pipeline {self._pipeline.name!r} declares no job type {name!r} (it declares: "
                f"{known})",
            )
        if declared.function is None:
            return Refused(
                Cause.NO_HANDLER,
                f"job type {name!r} has no handler in the module that was loaded: name the one "
                "that workers load",
            )
        return None

    def _in_time(self, letter: Sighting) -> Refused | None:
        job = letter.job
        if job.generation >= self._aim.max_generation:
            return Refused(
                Cause.TOO_MANY_REPLAYS,
                f"it was replayed {job.generation} times and died again; allow more with "
                "--max-generation",
            )
        if job.expires is not None and job.expires <= self._now() and not self._aim.ignore_expiry:
            return Refused(
                Cause.EXPIRED,
                f"it expired at {format_time(job.expires)}; --ignore-expiry takes the expiry away",
            )
        return None

    def _lane_of(self, topic: str) -> Lane | Refused:
        own = self._lanes.get(topic)
        queue = self._aim.queue or (own.queue if own else None)
        if queue is None:
            return Refused(
                Cause.NO_LANE,
                f"its lane is {topic!r}, which is none of this pipeline "
                f"({', '.join(self._lanes)}); name a queue with --to-queue",
            )
        declared = self._pipeline.queues[queue]
        priority = self._aim.priority or (own.priority if own else "")
        if priority not in declared.priorities:
            if self._aim.priority is not None:
                return Refused(
                    Cause.NO_LANE,
                    f"queue {queue!r} has no priority {priority!r} (it has: "
                    f"{', '.join(declared.priorities)})",
                )
            priority = declared.default_priority
        lane = Lane(self._pipeline.name, queue, priority)
        if lane.topic not in self._topics:
            return missing(lane.topic)
        return lane

    def _readable(self, letter: Sighting) -> Refused | None:
        codec = self._pipeline.job_types[letter.job.job_type].arguments
        try:
            claim = claim_in(letter.raw.items())
            payload = (letter.payload or b"") if claim is None else self._claims.get(claim)
            codec.decode(payload, self._schemas)
        except ClaimLostError as error:
            return Refused(Cause.CLAIM_LOST, str(error))
        except UndecodableError as error:
            fits = not isinstance(error.__cause__, ArgumentError)
            return Refused(Cause.UNDECODABLE if fits else Cause.DOES_NOT_FIT, str(error))
        except UnknownSchemaError as error:
            return Refused(Cause.SCHEMA_UNKNOWN, str(error))
        return None


def missing(topic: str) -> Refused:
    """Refuse a letter whose lane has no topic."""
    return Refused(
        Cause.TOPIC_MISSING,
        f"there is no topic {topic}: make the pipeline's topics with `headrace topics apply`",
    )
