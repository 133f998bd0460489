"""A job's record, as it was met on a topic: whose it is, and what its lying there means."""

from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message

from headrace.pipeline.topics import Role
from headrace.schemas import headers, trace_context
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.headers import JobHeaders
from headrace.schemas.ids import foreign_job_id
from headrace.schemas.states import JobState


@dataclass(frozen=True, slots=True)
class Location:
    """Where a record lies."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    def as_json(self) -> dict[str, object]:
        """Keys: `topic`, `partition`, `offset`."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A job's record on a lane, a delay tier or a dead-letter topic.

    Attributes:
        job: What its headers say.
        state: What lying there means: queued, delayed, retrying or dead.
        location: Where it lies.
        key: Its key.
        payload: Its value: the arguments.
        appended: When Kafka stored it, in epoch ms.
        raw: All its headers.
    """

    job: JobHeaders
    state: JobState
    location: Location
    key: bytes | None
    payload: bytes | None
    appended: int
    raw: dict[str, bytes | None]

    @property
    def order(self) -> tuple[int, int, int, int]:
        """As `Transition.order`, so that both merge; a transition of the same step tells more."""
        return (self.job.generation, self.job.step, self.state.rank, 0)

    def text(self, name: str) -> str | None:
        """A header as text; bytes that are no UTF-8 are replaced."""
        value = self.raw.get(name)
        return None if value is None else value.decode(errors="replace")

    @property
    def ordering_key(self) -> str | None:
        """The key, unless it is only the job's id again."""
        if not self.key or self.key == self.job.job_id.encode():
            return None
        return self.key.decode(errors="replace")

    @property
    def trace_id(self) -> str | None:
        """The id of the trace that it belongs to (W3C Trace Context), if it carries one."""
        context = trace_context.current(self.raw)
        return None if context is None else context.trace_id


def sight(message: Message, role: Role) -> Sighting:
    """Understand a record of a lane, a delay tier or a dead-letter topic.

    A record that is no job gets the id that transitions know it by: derived from where it lay on
    its lane.
    """
    raw = headers_of(message)
    location = Location(message.topic() or "", message.partition() or 0, message.offset() or 0)
    appended = message.timestamp()[1]
    try:
        job = headers.decode(raw.items(), lane=location.topic, timestamp=appended)
    except InvalidHeadersError:
        job = _not_a_job(raw, location, appended)
    return Sighting(
        job,
        _state(job, role),
        location,
        as_bytes(message.key()),
        as_bytes(message.value()),
        appended,
        raw,
    )


def job_id_of(message: Message) -> str:
    """Read a record's job id alone: quicker than `sight`. Empty when it has none."""
    return (headers_of(message).get(headers.ID) or b"").decode(errors="replace")


def headers_of(message: Message) -> dict[str, bytes | None]:
    """Give a record's headers by name; of a repeated name the last value counts."""
    found: Any = message.headers()
    return dict(found or ())


def as_bytes(value: str | bytes | None) -> bytes | None:
    """Give bytes whatever the client's types allow."""
    return value.encode() if isinstance(value, str) else value


def _not_a_job(raw: dict[str, bytes | None], location: Location, appended: int) -> JobHeaders:
    lay = _origin(raw) or location
    return JobHeaders(
        job_id=foreign_job_id(lay.topic, lay.partition, lay.offset),
        job_type="",
        source="",
        created=appended,
        lane=lay.topic,
        # A dead letter is one step on from the record that died.
        step=1 if headers.REASON in raw else 0,
    )


def _origin(raw: dict[str, bytes | None]) -> Location | None:
    parts = (raw.get(headers.ORIGIN) or b"").decode(errors="replace").rsplit("/", 2)
    if len(parts) < 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    return Location(parts[0], int(parts[1]), int(parts[2]))


def _state(job: JobHeaders, role: Role) -> JobState:
    if role is Role.LANE:
        return JobState.QUEUED
    if role is Role.DEAD_LETTERS:
        return JobState.DEAD
    return JobState.RETRYING if job.attempt > 1 or job.history else JobState.DELAYED
