"""What is known of a job: a line in a list, or its whole life."""

from dataclasses import dataclass

from headrace.pipeline.topology import Topology
from headrace.processors.job_events import JobEvent
from headrace.processors.payloads import Payload
from headrace.processors.repair.letter_states import LetterMark
from headrace.processors.sightings import Location, Sighting
from headrace.processors.times import both_times
from headrace.schemas import headers
from headrace.schemas.transitions import Transition


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job's current state. Times in epoch milliseconds.

    Attributes:
        state: One of `JobState`, or `unknown`: its record has been dealt with, but no transition
            that is kept tells how it ended.
        attempt: The number of the attempt that the state speaks of.
        updated: When it came into this state.
        due: When it will be due, while it waits.
        duration: Milliseconds that the attempt took, if one ended.
    """

    job_id: str
    job_type: str
    state: str
    lane: str
    queue: str | None
    priority: str | None
    tenant: str | None
    key: str | None
    attempt: int
    generation: int
    created: int
    updated: int
    due: int | None = None
    duration: int | None = None
    worker: str | None = None
    reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None

    def as_json(self) -> dict[str, object]:
        """Keys: those of the class; times twice (`created_ms`, `created` …), `duration_ms`."""
        return {
            "job_id": self.job_id,
            "job_type": self.job_type,
            "state": self.state,
            "reason": self.reason,
            "queue": self.queue,
            "priority": self.priority,
            "lane": self.lane,
            "tenant": self.tenant,
            "key": self.key,
            "attempt": self.attempt,
            "generation": self.generation,
            **both_times("created", self.created),
            **both_times("updated", self.updated),
            **both_times("due", self.due),
            "duration_ms": self.duration,
            "worker": self.worker,
            "error_type": self.error_type,
            "error_message": self.error_message,
        }


@dataclass(frozen=True, slots=True)
class JobView:
    """A job's whole life.

    Attributes:
        summary: Its current state.
        transitions: What is kept of its life, oldest first.
        location: Where its record lies now, or lay last.
        lies_there: Whether the record is waiting there (or is a dead letter there); False when
            the job is over or running and the place is where it came from.
        arguments: What it was submitted with; None when its record is no longer kept.
        result: What its handler returned; None when it has not, or returned nothing to keep.
        edited_from: The job whose dead letter was edited to make this one, if one was.
        letter: What was done about its dead letter; None when it is open, or there is none.
        trace_id: The trace that its record belongs to, if that carries one.
        events: All that is known to have happened, oldest first: transitions, and its records on
            delay tiers, dead-letter topics and lanes. The store knows all of those; what is read
            from Kafka alone has its last record at most.
    """

    summary: JobSummary
    transitions: tuple[Transition, ...]
    location: Location | None
    lies_there: bool
    arguments: Payload | None
    result: Payload | None
    edited_from: str | None = None
    letter: LetterMark | None = None
    trace_id: str | None = None
    events: tuple[JobEvent, ...] = ()

    def as_json(self, *, arguments: bool = True) -> dict[str, object]:
        """Keys of `JobSummary.as_json`, and `location`, `arguments`, `result`, `edited_from`,
        `letter`, `trace_id`, `transitions`, `events`."""  # noqa: D205, D209
        life = self.summary.as_json()
        life["location"] = self.location.as_json() if self.location else None
        life["lies_there"] = self.lies_there
        if arguments:
            life["arguments"] = self.arguments.as_json() if self.arguments else None
        life["result"] = self.result.as_json() if self.result else None
        life["edited_from"] = self.edited_from
        life["letter"] = self.letter.as_json() if self.letter else None
        life["trace_id"] = self.trace_id
        life["transitions"] = [transition_json(each) for each in self.transitions]
        life["events"] = [each.as_json() for each in self.events]
        return life


def transition_json(each: Transition) -> dict[str, object]:
    """Keys: `state`, `time` (twice), `attempt`, `step`, `generation`, `worker`, `lane`,
    `partition`, `offset`, `started`, `ended`, `due` (twice each), `duration_ms`, `reason`,
    `error_type`, `error_message`, `progress` (from 0 to 1), `progress_text`."""  # noqa: D205, D209
    return {
        "state": each.state,
        **both_times("time", each.time),
        "attempt": each.attempt,
        "step": each.step,
        "generation": each.generation,
        "worker": each.worker,
        "lane": each.lane,
        "partition": each.partition,
        "offset": each.offset,
        **both_times("started", each.started),
        **both_times("ended", each.ended),
        "duration_ms": duration_of(each),
        **both_times("due", each.due),
        "reason": each.reason,
        "error_type": each.error_type,
        "error_message": each.error_message,
        "progress": each.progress,
        "progress_text": each.progress_text,
    }


def duration_of(each: Transition) -> int | None:
    """Milliseconds that the attempt of a transition took; None when none ended."""
    if each.started is None or each.ended is None:
        return None
    return max(0, each.ended - each.started)


def summary_of(found: Transition | Sighting, topology: Topology) -> JobSummary:
    """Give the state of a job from the last thing that is known of it."""
    if isinstance(found, Transition):
        return _of_transition(found, topology)
    return _of_sighting(found, topology)


def _of_transition(found: Transition, topology: Topology) -> JobSummary:
    lane = topology.lane_of_topic(found.lane)
    return JobSummary(
        found.job_id,
        found.job_type,
        found.state,
        found.lane,
        lane.queue if lane else None,
        lane.priority if lane else None,
        found.tenant,
        found.key,
        found.attempt,
        found.generation,
        found.created,
        found.time,
        found.due,
        duration_of(found),
        found.worker,
        found.reason,
        found.error_type,
        found.error_message,
    )


def _of_sighting(found: Sighting, topology: Topology) -> JobSummary:
    job = found.job
    lane = topology.lane_of_topic(job.lane)
    waits = found.state.value in ("delayed", "retrying")
    return JobSummary(
        job.job_id,
        job.job_type,
        found.state.value,
        job.lane,
        lane.queue if lane else None,
        lane.priority if lane else None,
        job.tenant,
        found.ordering_key,
        job.attempt,
        job.generation,
        job.created,
        found.appended,
        job.due if waits else None,
        None,
        found.text(headers.WORKER),
        found.text(headers.REASON),
        found.text(headers.ERROR_TYPE),
        found.text(headers.ERROR_MESSAGE),
    )
