"""Dead letters as JSON lines, and back: nothing of a record is lost.

A line is an object: `topic`, `partition`, `offset`, `timestamp` (when Kafka stored it, in epoch
milliseconds), `key`, `value` and `headers` (a list of name and value, in order). Keys and values are
base64 or null. `job_id` and `job_type` are there for people, and are not read.

The topic stamps its own time on what is imported, so the old time goes along in a header, which an
export takes out again: what was imported and exported again is the same, but for its offset.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.dead_letter import DeadLetter
from headrace.processors.dead_letter_view import DeadLetters
from headrace.processors.errors import ImportLineError
from headrace.processors.job_history import require
from headrace.processors.reader import Progress
from headrace.processors.repair.letter_filter import ANY_LETTER
from headrace.processors.repair.raw_records import RawRecord, write_records
from headrace.processors.snapshot import Cluster
from headrace.schemas import headers

_BATCH: Final = 2_000
"""Records that are written, and acknowledged, at once."""
_LAST_TIME: Final = 2**62
Identity = tuple[bytes, ...]
Refuse = Callable[[int, ImportLineError], None]
"""Told of a line that is left out: its number, from 1, and why."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One line: the record, and when Kafka stored it, in epoch milliseconds."""

    record: RawRecord
    timestamp: int


@dataclass(slots=True)
class ImportReport:
    """What an import came to: how many lines.

    Attributes:
        imported: Letters that were written.
        skipped: Letters that were there already.
        refused: Lines that are no letters of this pipeline.
    """

    imported: int = 0
    skipped: int = 0
    refused: int = 0

    def as_json(self) -> dict[str, int]:
        """Keys: those of the class."""
        return {"imported": self.imported, "skipped": self.skipped, "refused": self.refused}


def export_line(letter: DeadLetter) -> str:
    """Write a letter as one line of JSON, without the line's end."""
    raw = letter.record
    written = _without_appended(raw.headers)
    return json.dumps(
        {
            "job_id": letter.job_id,
            "job_type": letter.job_type,
            "topic": raw.topic,
            "partition": raw.partition,
            "offset": letter.location.offset,
            "timestamp": letter.appended,
            "key": _encoded(raw.key),
            "headers": [[name, _encoded(value)] for name, value in written],
            "value": _encoded(raw.value),
        },
        ensure_ascii=False,
    )


def import_line(line: str | bytes, topics: Iterable[str]) -> Exported:
    """Read a line.

    Args:
        line: As `export_line` wrote it.
        topics: The dead-letter topics of the pipeline.

    Raises:
        ImportLineError: It is broken, or of another pipeline.
    """
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ImportLineError(f"it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ImportLineError(f"it is a {type(found).__name__}, not a JSON object")
    topic = found.get("topic")
    known = tuple(topics)
    if topic not in known:
        raise ImportLineError(
            f"its topic {topic!r} is no dead-letter topic of this pipeline, which has "
            f"{', '.join(known)}"
        )
    record = RawRecord(
        topic,
        _number(found, "partition"),
        _decoded(found, "key"),
        _decoded(found, "value"),
        _headers(found),
    )
    return Exported(record, _number(found, "timestamp"))


@dataclass(slots=True)
class Importer:
    """Appends exported letters to the dead-letter topics that they came from.

    A letter of the same job, generation and origin that is there already is skipped: so an import
    that was broken off can be done again.
    """

    pipeline: Pipeline
    kafka: KafkaSettings
    force: bool = False
    progress: Progress | None = None
    report: ImportReport = field(default_factory=ImportReport)

    def run(self, lines: Iterable[str | bytes], refuse: Refuse) -> ImportReport:
        """Import lines; empty ones are passed over.

        Args:
            lines: Of an export.
            refuse: Told of each line that is left out; the others go on.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time. `report` tells how far it came.
            TopicError: A topic is missing, or refused a record.
        """
        partitions = self._partitions()
        known = set() if self.force else self._known()
        ready = self._ready(lines, refuse, known, partitions)
        while batch := list(islice(ready, _BATCH)):
            self.report.imported += len(write_records(self.kafka, batch))
        return self.report

    def _ready(
        self,
        lines: Iterable[str | bytes],
        refuse: Refuse,
        known: set[Identity],
        partitions: dict[str, int],
    ) -> Iterator[RawRecord]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                exported = import_line(line, partitions)
            except ImportLineError as error:
                self.report.refused += 1
                refuse(number, error)
                continue
            identity = identity_of(exported.record)
            if not self.force and identity in known:
                self.report.skipped += 1
                continue
            known.add(identity)
            yield _placed(exported, partitions)

    def _partitions(self) -> dict[str, int]:
        topology = self.pipeline.topology
        snapshot = Cluster(self.kafka).snapshot(self.pipeline, (Role.DEAD_LETTERS,))
        counts = {topology.dead_letters(queue): 0 for queue in self.pipeline.queues}
        for topic in counts:
            require(snapshot, topic)
        for topic, _ in snapshot.spans:
            counts[topic] += 1
        return counts

    def _known(self) -> set[Identity]:
        letters = DeadLetters(self.pipeline, self.kafka, self.progress)
        return {identity_of(letter.record) for letter in letters.select(ANY_LETTER)}


def identity_of(record: RawRecord) -> Identity:
    """Tell a letter from all others: by job, generation and origin; by all it holds without those."""
    raw = dict(record.headers)
    origin = raw.get(headers.ORIGIN)
    if origin:
        return (raw.get(headers.ID) or b"", raw.get(headers.GENERATION) or b"0", origin)
    rest = _without_appended(record.headers)
    content = repr((record.key, record.value, rest)).encode()
    return (hashlib.sha256(content).digest(),)


def _placed(exported: Exported, partitions: dict[str, int]) -> RawRecord:
    """Give the record to write: on its old partition, if the topic has that; with its old time."""
    record = exported.record
    at = record.partition
    fits = at is not None and at < partitions[record.topic]
    appended = (headers.APPENDED, b"%d" % exported.timestamp)
    return replace(record, partition=at if fits else None, headers=(*record.headers, appended))


def _without_appended(
    written: Iterable[tuple[str, bytes | None]],
) -> list[tuple[str, bytes | None]]:
    return [each for each in written if each[0] != headers.APPENDED]


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decoded(found: dict[str, Any], name: str) -> bytes | None:
    if name not in found:
        raise ImportLineError(f"it has no {name!r}")
    return _bytes(found[name], name)


def _bytes(text: object, name: str) -> bytes | None:
    if text is None:
        return None
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImportLineError(f"its {name!r} is no base64: {error}") from None
    raise ImportLineError(f"its {name!r} is a {type(text).__name__}, neither base64 nor null")


def _number(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LAST_TIME:
        raise ImportLineError(f"its {name!r} is {value!r}, which is no number from 0")
    return value


def _headers(found: dict[str, Any]) -> tuple[tuple[str, bytes | None], ...]:
    listed = found.get("headers")
    if not isinstance(listed, list):
        raise ImportLineError("its 'headers' are no list")
    return tuple(_header(each) for each in listed)


def _header(pair: object) -> tuple[str, bytes | None]:
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
        raise ImportLineError(f"the header {pair!r} is no pair of a name and a value")
    return pair[0], _bytes(pair[1], f"header {pair[0]}")
