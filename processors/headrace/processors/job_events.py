"""What happened to a job, one thing at a time: told by a transition, or by a record that lies somewhere."""

from dataclasses import dataclass
from typing import Final

from headrace.processors.sightings import Location, Sighting
from headrace.processors.times import both_times
from headrace.schemas import headers
from headrace.schemas.states import JobState
from headrace.schemas.transitions import NOWHERE, Transition

RECORD: Final = "record"
TRANSITION: Final = "transition"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job. Times in epoch milliseconds.

    Attributes:
        told_by: `transition`, or `record`: that a record came to a delay tier, a dead-letter topic, or
            back to its lane.
        place: The record on its lane that a transition speaks of, or the record itself; None when a
            transition speaks of none.
        time: When a transition says that it happened, or when Kafka stored the record.
    """

    told_by: str
    state: str
    place: Location | None
    attempt: int
    step: int
    generation: int
    time: int
    started: int | None = None
    ended: int | None = None
    due: int | None = None
    worker: str | None = None
    reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    progress: float | None = None
    progress_text: str | None = None

    @property
    def duration(self) -> int | None:
        """Milliseconds that the attempt took; None when none ended."""
        if self.started is None or self.ended is None:
            return None
        return max(0, self.ended - self.started)

    def as_json(self) -> dict[str, object]:
        """Keys: those of the class, `place` as `topic`, `partition`, `offset`; times twice;
        `duration_ms`."""  # noqa: D205, D209
        place = self.place
        return {
            "told_by": self.told_by,
            "state": self.state,
            **both_times("time", self.time),
            "attempt": self.attempt,
            "step": self.step,
            "generation": self.generation,
            "worker": self.worker,
            "topic": place.topic if place else None,
            "partition": place.partition if place else None,
            "offset": place.offset if place else None,
            **both_times("started", self.started),
            **both_times("ended", self.ended),
            "duration_ms": self.duration,
            **both_times("due", self.due),
            "reason": self.reason,
            "error_type": self.error_type,
            "error_message": self.error_message,
            "progress": self.progress,
            "progress_text": self.progress_text,
        }


def events_of(*found: Transition | Sighting) -> tuple[JobEvent, ...]:
    """Give what the evidence tells, oldest first."""
    events = [
        _of_transition(each) if isinstance(each, Transition) else _of_sighting(each)
        for each in found
        if isinstance(each, Transition) or is_event(each)
    ]
    return tuple(sorted(events, key=lambda event: event.time))


def is_event(found: Sighting) -> bool:
    """Whether a record's lying there is something that happened.

    That a new job came to its lane is not: its creation tells so, and it is most of all records.
    """
    return found.state is not JobState.QUEUED or found.job.step > 0


def place_of(topic: str, partition: int, offset: int) -> Location | None:
    """Give a place; None for nowhere."""
    return None if offset == NOWHERE else Location(topic, partition, offset)


def _of_transition(found: Transition) -> JobEvent:
    return JobEvent(
        TRANSITION,
        found.state,
        place_of(found.lane, found.partition, found.offset),
        found.attempt,
        found.step,
        found.generation,
        found.time,
        found.started,
        found.ended,
        found.due,
        found.worker,
        found.reason,
        found.error_type,
        found.error_message,
        found.progress,
        found.progress_text,
    )


def _of_sighting(found: Sighting) -> JobEvent:
    job = found.job
    return JobEvent(
        RECORD,
        found.state.value,
        found.location,
        job.attempt,
        job.step,
        job.generation,
        found.appended,
        due=job.due,
        reason=found.text(headers.REASON),
    )
