"""Transitions: the changes of jobs' states, as batches on the events topic.

One record on `<pipeline>.events` holds an array, because a record for each transition costs more
than everything else in a worker's loop. Readers merge by `Transition.order`, which makes the
result independent of order and repetition.

The schema grows by optional fields alone. A reader knows its own and those of all versions before it;
that of a newer writer it is given (`topics apply` publishes them), and passes over what it does not know.
"""

import io
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import fastavro

from headrace.schemas import framing
from headrace.schemas.errors import UndecodableError, UnknownSchemaError
from headrace.schemas.fingerprint import schema_text
from headrace.schemas.parsed import ParsedSchema, parse
from headrace.schemas.plain_avro import long, shared_long, text
from headrace.schemas.states import JobState

_OPTIONAL_STRING: Final = {"type": ["null", "string"], "default": None}
_OPTIONAL_LONG: Final = {"type": ["null", "long"], "default": None}
_OPTIONAL_DOUBLE: Final = {"type": ["null", "double"], "default": None}


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
    progress: float | None = None
    """How much of it is done, from 0 to 1, as the handler of a running job told last."""
    progress_text: str | None = None
    result_claim: str | None = None
    """Where the return value is stored that is too large for a transition (see `claims`)."""

    @property
    def order(self) -> tuple[int, int, int, int]:
        """What decides which of two transitions of a job is the later one."""
        return (self.generation, self.step, JobState(self.state).rank, self.time)


_RARE: Final = {
    "type": "record",
    "name": "TransitionRare",
    "fields": [
        {"name": "progress", **_OPTIONAL_DOUBLE},
        {"name": "progress_text", **_OPTIONAL_STRING},
        {"name": "result_claim", **_OPTIONAL_STRING},
    ],
}
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
        {"name": "rare", "type": ["null", _RARE], "default": None},
    ],
}
SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "JobTransitions",
    "namespace": "headrace",
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
"""What became of some jobs of one lane, as one worker saw it. A time of 0 is none.

Optional values stand in a record of their own, rare ones in one inside it, and what a batch shares
stands in it once: a union costs most of a microsecond to write, and most transitions need none."""


def _before_progress() -> dict[str, Any]:
    """The schema of the first version."""
    schema: dict[str, Any] = json.loads(json.dumps(SCHEMA))
    row = schema["fields"][2]["type"]["items"]
    detail = row["fields"][-1]["type"][1]
    detail["fields"] = detail["fields"][:7]
    return schema


_OWN: Final = parse(schema_text(SCHEMA))
_OLDER: Final = {each.fingerprint: each for each in [parse(schema_text(_before_progress()))]}
NAME: Final = "JobTransitions"
TEXT: Final = _OWN.text
"""The schema as JSON, as it is published for readers of other versions."""
FINGERPRINT: Final = _OWN.fingerprint
_PREFIX: Final = framing.SINGLE_OBJECT_MAGIC + FINGERPRINT
_FIRST_DETAIL: Final = Transition._fields.index("due")
_FIRST_RARE: Final = Transition._fields.index("progress")
_DETAILS: Final = (*Transition._fields[_FIRST_DETAIL:_FIRST_RARE], "rare")
_RARE_DETAILS: Final = Transition._fields[_FIRST_RARE:]
_NO_RARE: Final = (None,) * len(_RARE_DETAILS)
_NO_DETAILS: Final = (None,) * (len(_DETAILS) - 1) + _NO_RARE
_NO_DETAIL, _SOME_DETAIL = long(0), long(1)
"""Which branch of the union follows."""
_NO_MORE: Final = long(0)
"""The empty block that ends an array."""
_DETAIL_ALONE: Final = fastavro.parse_schema(json.loads(json.dumps(_DETAIL)))
_NONE: Final[Mapping[bytes, ParsedSchema]] = MappingProxyType({})


def encode_batch(transitions: Sequence[Transition]) -> bytes:
    """Write a batch in Avro single-object encoding.

    Args:
        transitions: At least one; all of one lane and one worker.
    """
    first = transitions[0]
    head = (_PREFIX, text(first.lane), text(first.worker), long(len(transitions)))
    return b"".join((*head, *map(_row, transitions), _NO_MORE))


def _row(transition: Transition) -> bytes:
    job_id, job_type, state, _, partition, offset = transition[:6]
    attempt, step, generation, time, created, _, started, ended = transition[6:_FIRST_DETAIL]
    details = transition[_FIRST_DETAIL:]
    return b"".join(
        (
            text(job_id),
            _kind(job_type, state, partition),
            long(offset),
            _run(attempt, step, generation),
            shared_long(time),
            shared_long(created),
            shared_long(started or 0),
            shared_long(ended or 0),
            _NO_DETAIL if details == _NO_DETAILS else _detail(transition),
        )
    )


@lru_cache(maxsize=1_024)
def _kind(job_type: str, state: str, partition: int) -> bytes:
    return text(job_type) + text(state) + long(partition)


@lru_cache(maxsize=256)
def _run(attempt: int, step: int, generation: int) -> bytes:
    return long(attempt) + long(step) + long(generation)


def _detail(transition: Transition) -> bytes:
    values = transition[_FIRST_RARE:]
    rare = None if values == _NO_RARE else dict(zip(_RARE_DETAILS, values, strict=True))
    details = (*transition[_FIRST_DETAIL:_FIRST_RARE], rare)
    buffer = io.BytesIO()
    buffer.write(_SOME_DETAIL)
    fastavro.schemaless_writer(buffer, _DETAIL_ALONE, dict(zip(_DETAILS, details, strict=True)))
    return buffer.getvalue()


def decode_batch(
    payload: bytes, writers: Mapping[bytes, ParsedSchema] = _NONE
) -> Sequence[Transition]:
    """Read a batch that `encode_batch` wrote, in this version or another.

    Args:
        payload: In Avro single-object encoding.
        writers: Schemas of newer versions by their fingerprints. Of such a batch the fields are
            given that this version knows.

    Raises:
        UnknownSchemaError: This version does not know the writer's schema, and `writers` does not
            have it.
        UndecodableError: The bytes are no batch of transitions.
    """
    framed = framing.split(payload)
    mark = framed.fingerprint or b""
    if mark == FINGERPRINT:
        return _read(payload, framed, _OWN.parsed, None)
    writer = _OLDER.get(mark) or writers.get(mark)
    if writer is None:
        raise UnknownSchemaError(
            f"fingerprint {mark.hex() or 'none'}",
            f"a batch of transitions names it, and this version writes {FINGERPRINT.hex()}: run "
            "`headrace topics apply` with the version that wrote the batch, which publishes it",
        )
    return _read(payload, framed, writer.parsed, _OWN.parsed)


def _read(payload: bytes, framed: framing.Framed, writer: Any, reader: Any) -> list[Transition]:
    try:
        batch: Any = fastavro.schemaless_reader(io.BytesIO(framed.body), writer, reader)
        shared: dict[str, Any] = {"lane": batch["lane"], "worker": batch["worker"]}
        return [_transition(row, shared) for row in batch["transitions"]]
    except Exception as error:
        what = f"it is no batch of transitions: {type(error).__name__}: {error}"
        raise UndecodableError(what, payload) from error


def _transition(row: dict[str, Any], shared: dict[str, Any]) -> Transition:
    details: dict[str, Any] = row.pop("detail") or {"rare": None}
    details |= details.pop("rare") or {}
    started, ended = row.pop("started") or None, row.pop("ended") or None
    return Transition(**shared, **row, started=started, ended=ended, **details)
