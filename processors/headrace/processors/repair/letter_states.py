"""What was done about dead letters, on the compacted topic `<pipeline>.letters`.

A letter stays where it lies: its topic is a log. A mark under the key `<topic>/<partition>/<offset>`
says what was done about it; a letter without one is open. Marks outlive the letters that they speak
of, then retention deletes them (decision 8).
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from headrace.pipeline.compacted import CompactedRecord, read_latest, write_all
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.processors.sightings import Location

_LOG = logging.getLogger("headrace.letters")
_BATCH: Final = 20_000
"""Marks written at once: each batch is acknowledged before the next one is sent."""


class LetterState(StrEnum):
    """What has become of a dead letter."""

    OPEN = "open"
    """Nothing was done about it."""
    REPLAYED = "replayed"
    """Its job was sent to a lane again."""
    RESOLVED = "resolved"
    """Its job was sent to a lane again, and succeeded there."""
    DISCARDED = "discarded"
    """Somebody decided that nothing is to be done."""
    EDITED = "edited"
    """A job with other arguments was submitted in its place."""


STORED: Final = frozenset({LetterState.REPLAYED, LetterState.DISCARDED, LetterState.EDITED})
"""The states that a mark can have; the others follow."""


@dataclass(frozen=True, slots=True)
class LetterMark:
    """What was done about one letter.

    Attributes:
        state: One of `STORED`.
        job: The job's id.
        generation: Of the letter: how often its job had been replayed when it died.
        by: Who did it: a name that was given, not proven.
        at: When, in epoch milliseconds.
        reason: Why; may be empty.
        replay: The name of the replay, if one did it.
        new_job: The id of the job that was submitted in its place, if one was.
    """

    state: LetterState
    job: str
    generation: int
    by: str
    at: int
    reason: str = ""
    replay: str | None = None
    new_job: str | None = None

    def as_json(self) -> dict[str, object]:
        """Keys: those of the class."""
        return {
            "state": self.state.value,
            "job": self.job,
            "generation": self.generation,
            "by": self.by,
            "at": self.at,
            "reason": self.reason,
            "replay": self.replay,
            "new_job": self.new_job,
        }


def read_marks(kafka: KafkaSettings, topology: Topology) -> Mapping[str, LetterMark]:
    """Read all marks, by `<topic>/<partition>/<offset>` of the letter.

    One that cannot be read is logged and left out: its letter counts as open.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The topic does not exist or may not be read.
    """
    records = read_latest(kafka, [topology.letters])[topology.letters]
    marks: dict[str, LetterMark] = {}
    for key, value in records.items():
        name = key.decode(errors="replace")
        if not is_letter(name):
            continue
        try:
            marks[name] = decode_mark(value)
        except (ValueError, KeyError, TypeError) as error:
            _LOG.warning("%s holds an unreadable state of %s: %s", topology.letters, name, error)
    return marks


def write_marks(
    kafka: KafkaSettings, topology: Topology, marks: Iterable[tuple[Location, LetterMark]]
) -> int:
    """Write marks, and give how many. All are acknowledged on return.

    Raises:
        KafkaUnavailableError: Not all were acknowledged in time; some may be there.
        TopicError: The topic does not exist or may not be written.
    """
    records, written = mark_records(topology, marks), 0
    while batch := list(islice(records, _BATCH)):
        write_all(kafka, batch)
        written += len(batch)
    return written


def mark_records(
    topology: Topology, marks: Iterable[tuple[Location, LetterMark]]
) -> Iterator[CompactedRecord]:
    """Make the records that `write_marks` writes, for a producer of one's own."""
    for location, mark in marks:
        yield CompactedRecord(topology.letters, str(location).encode(), encode_mark(mark))


def is_letter(key: str) -> bool:
    """Whether a key of the topic names a letter: other keys are other tools' (`replay/<name>`)."""
    parts = key.rsplit("/", 2)
    return len(parts) == 3 and "." in parts[0] and parts[1].isdigit() and parts[2].isdigit()


def encode_mark(mark: LetterMark) -> bytes:
    """Write a mark as JSON."""
    return json.dumps(mark.as_json(), ensure_ascii=False).encode(errors="replace")


def decode_mark(value: bytes) -> LetterMark:
    """Read a mark.

    Raises:
        ValueError: It is no JSON, or its state is none that is stored.
        KeyError: A part is missing.
        TypeError: It is no JSON object.
    """
    found: dict[str, Any] = json.loads(value)
    state = LetterState(found["state"])
    if state not in STORED:
        raise ValueError(f"the state {state.value!r} is not one that is stored")
    return LetterMark(
        state,
        str(found["job"]),
        int(found["generation"]),
        str(found.get("by") or ""),
        int(found["at"]),
        str(found.get("reason") or ""),
        found.get("replay"),
        found.get("new_job"),
    )


def state_of(mark: LetterMark | None, succeeded: Mapping[str, int]) -> LetterState:
    """Give the state of a letter.

    Args:
        mark: What was done about it.
        succeeded: By job id, the last generation in which the job succeeded, as far as is known.
    """
    if mark is None:
        return LetterState.OPEN
    if mark.state is LetterState.REPLAYED and succeeded.get(mark.job, -1) > mark.generation:
        return LetterState.RESOLVED
    return mark.state
