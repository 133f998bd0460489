"""Transitions: the changes of jobs' states, as batches on the events topic.

One record on `<pipeline>.events` holds an array, because a record for each transition costs more
than everything else in a worker's loop. Readers merge by `Transition.order`, which makes the
result independent of order and repetition.
"""

import io
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import fastavro

from headrace.schemas import framing
from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.states import JobState

_OPTIONAL_STRING: Final = {"type": ["null", "string"], "default": None}
_OPTIONAL_LONG: Final = {"type": ["null", "long"], "default": None}


NOWHERE: Final = -1
"""Partition and offset in a transition of a job that died between two records of its lane."""


class Transition(NamedTuple):
    """One change of one job's state. Times in epoch milliseconds."""

    job_id: str
    job_type: str
    state: str
    lane: str
    partition: int
    offset: int
    """Where the record lies that this transition speaks of. Of a job that died in a delay tier the
    lane is its own all the same, so that it is counted there, and the two others are `NOWHERE`; if
    its lane cannot be told, all three are those of the tier."""
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


_DETAIL: Final = {
    "type": "record",
    "name": "TransitionDetail",
    "fields": [
        {"name": "due", **_OPTIONAL_LONG},
        {"name": "tenant", **_OPTIONAL_STRING},
        {"name": "key", **_OPTIONAL_STRING},
        {"name": "reason", **_OPTIONAL_STRING},
        {"name": "error_type", **_OPTIONAL_STRING},
        {"name": "error_message", **_OPTIONAL_STRING},
        {"name": "result", "type": ["null", "bytes"], "default": None},
    ],
}
SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "JobTransitions",
    "namespace": "headrace",
    "doc": "What became of some jobs of one lane, as one worker saw it. A time of 0 is none.",
    "fields": [
        {"name": "lane", "type": "string"},
        {"name": "worker", "type": "string"},
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
                        {"name": "partition", "type": "int"},
                        {"name": "offset", "type": "long"},
                        {"name": "attempt", "type": "int"},
                        {"name": "step", "type": "int"},
                        {"name": "generation", "type": "int"},
                        {"name": "time", "type": "long"},
                        {"name": "created", "type": "long"},
                        {"name": "started", "type": "long", "default": 0},
                        {"name": "ended", "type": "long", "default": 0},
                        {"name": "detail", "type": ["null", _DETAIL], "default": None},
                    ],
                },
            },
        },
    ],
}
"""Optional values stand in a record of their own, and what a batch shares stands in it once: a
union costs a third of a microsecond to write, and most transitions need none of them."""
_PARSED: Final = fastavro.parse_schema(SCHEMA)
FINGERPRINT: Final = fingerprint(SCHEMA)
_PREFIX: Final = framing.SINGLE_OBJECT_MAGIC + FINGERPRINT
_DETAILS: Final = ("due", "tenant", "key", "reason", "error_type", "error_message", "result")
_NO_DETAILS: Final = (None,) * len(_DETAILS)
_FIRST_DETAIL: Final = Transition._fields.index("due")


def encode_batch(transitions: Sequence[Transition]) -> bytes:
    """Write a batch in Avro single-object encoding.

    Args:
        transitions: At least one; all of one lane and one worker.
    """
    first = transitions[0]
    buffer = io.BytesIO()
    buffer.write(_PREFIX)
    rows = [_row(transition) for transition in transitions]
    batch = {"lane": first.lane, "worker": first.worker, "transitions": rows}
    fastavro.schemaless_writer(buffer, _PARSED, batch)
    return buffer.getvalue()


def _row(transition: Transition) -> dict[str, Any]:
    details = transition[_FIRST_DETAIL:]
    return {
        "job_id": transition.job_id,
        "job_type": transition.job_type,
        "state": transition.state,
        "partition": transition.partition,
        "offset": transition.offset,
        "attempt": transition.attempt,
        "step": transition.step,
        "generation": transition.generation,
        "time": transition.time,
        "created": transition.created,
        "started": transition.started or 0,
        "ended": transition.ended or 0,
        "detail": (None if details == _NO_DETAILS else dict(zip(_DETAILS, details, strict=True))),
    }


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
    batch: Any = fastavro.schemaless_reader(io.BytesIO(framed.body), _PARSED, None)
    shared: dict[str, Any] = {"lane": batch["lane"], "worker": batch["worker"]}
    return [_transition(row, shared) for row in batch["transitions"]]


def _transition(row: dict[str, Any], shared: dict[str, Any]) -> Transition:
    details = row.pop("detail") or {}
    started, ended = row.pop("started") or None, row.pop("ended") or None
    return Transition(**shared, **row, started=started, ended=ended, **details)
