"""Transitions: the changes of jobs' states, as batches on the events topic.

One record on `<pipeline>.events` holds an array, because a record for each transition costs more
than everything else in a worker's loop. Readers merge by `Transition.order`, which makes the
result independent of order and repetition.
"""

import io
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import fastavro

from headrace.schemas import framing
from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.states import JobState

_OPTIONAL_STRING: Final = {"type": ["null", "string"], "default": None}
_OPTIONAL_LONG: Final = {"type": ["null", "long"], "default": None}


class Transition(NamedTuple):
    """One change of one job's state. Times in epoch milliseconds."""

    job_id: str
    job_type: str
    state: str
    lane: str
    partition: int
    offset: int
    """Where the record lies that this transition speaks of."""
    attempt: int
    step: int
    generation: int
    time: int
    created: int
    worker: str
    started: int | None = None
    ended: int | None = None
    due: int | None = None
    tenant: str | None = None
    key: str | None = None
    reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    result: bytes | None = None
    """The handler's return value, framed as job arguments are."""

    @property
    def order(self) -> tuple[int, int, int, int]:
        """What decides which of two transitions of a job is the later one."""
        return (self.generation, self.step, JobState(self.state).rank, self.time)


SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "JobTransitions",
    "namespace": "headrace",
    "fields": [
        {
            "name": "transitions",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "JobTransition",
                    "fields": [
                        {"name": "job_id", "type": "string"},
                        {"name": "job_type", "type": "string"},
                        {"name": "state", "type": "string"},
                        {"name": "lane", "type": "string"},
                        {"name": "partition", "type": "int"},
                        {"name": "offset", "type": "long"},
                        {"name": "attempt", "type": "int"},
                        {"name": "step", "type": "int"},
                        {"name": "generation", "type": "int"},
                        {"name": "time", "type": "long"},
                        {"name": "created", "type": "long"},
                        {"name": "worker", "type": "string"},
                        {"name": "started", **_OPTIONAL_LONG},
                        {"name": "ended", **_OPTIONAL_LONG},
                        {"name": "due", **_OPTIONAL_LONG},
                        {"name": "tenant", **_OPTIONAL_STRING},
                        {"name": "key", **_OPTIONAL_STRING},
                        {"name": "reason", **_OPTIONAL_STRING},
                        {"name": "error_type", **_OPTIONAL_STRING},
                        {"name": "error_message", **_OPTIONAL_STRING},
                        {"name": "result", "type": ["null", "bytes"], "default": None},
                    ],
                },
            },
        }
    ],
}
_PARSED: Final = fastavro.parse_schema(SCHEMA)
FINGERPRINT: Final = fingerprint(SCHEMA)
_PREFIX: Final = framing.SINGLE_OBJECT_MAGIC + FINGERPRINT
_FIELDS: Final = Transition._fields


def encode_batch(transitions: Iterable[Transition]) -> bytes:
    """Write a batch in Avro single-object encoding."""
    buffer = io.BytesIO()
    buffer.write(_PREFIX)
    rows = [dict(zip(_FIELDS, transition, strict=True)) for transition in transitions]
    fastavro.schemaless_writer(buffer, _PARSED, {"transitions": rows})
    return buffer.getvalue()


def decode_batch(payload: bytes) -> Sequence[Transition]:
    """Read a batch that `encode_batch` wrote.

    Raises:
        UndecodableError: The bytes are not single-object Avro.
        ValueError: The writer's schema is another one than this version's.
    """
    framed = framing.split(payload)
    if framed.fingerprint != FINGERPRINT:
        found = framed.fingerprint.hex() if framed.fingerprint else "none"
        raise ValueError(
            f"a batch of transitions has schema fingerprint {found}, this version reads "
            f"{FINGERPRINT.hex()}: read the events topic with the version that wrote it"
        )
    rows: Any = fastavro.schemaless_reader(io.BytesIO(framed.body), _PARSED, None)
    return [Transition(**row) for row in rows["transitions"]]
