"""Replays as they lie on the letters topic: `replay/<name>`, and `replay/<name>/progress`.

Two keys, because a definition may name thousands of ids, and progress is written with each batch.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.pipeline.compacted import CompactedRecord, read_latest
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.processors.repair.letter_states import LetterMark, decode_mark
from headrace.processors.repair.replay_definition import Phase, ReplayDefinition, ReplayProgress
from headrace.processors.repair.replay_errors import NoReplayError

_LOG = logging.getLogger("headrace.letters")
_PREFIX: Final = "replay/"
_PROGRESS: Final = "/progress"
_SILENCE: Final = 60_000
"""Milliseconds after which a replay that has recorded nothing seems to be dead."""


@dataclass(frozen=True, slots=True)
class StoredReplay:
    """A replay: what it is to do, and how far it was when it last said so."""

    definition: ReplayDefinition
    progress: ReplayProgress

    def is_abandoned(self, now: int) -> bool:
        """Whether nobody seems to work on it, though it has not finished.

        Args:
            now: Epoch milliseconds.
        """
        rate = self.definition.options.rate
        silence = _SILENCE if rate is None else max(_SILENCE, int(10_000 / rate))
        return self.progress.phase is Phase.STOPPED or (
            self.progress.phase is Phase.RUNNING and now - self.progress.at > silence
        )

    def as_json(self) -> dict[str, Any]:
        """Keys: those of the definition, less `spans`, and of the progress' summary."""
        definition = self.definition.as_json()
        del definition["spans"]
        return definition | self.progress.summary()


@dataclass(frozen=True, slots=True)
class ReplayedJob:
    """A job that a replay sent to a lane, and the generation that it has there."""

    job_id: str
    generation: int


def definition_record(topology: Topology, definition: ReplayDefinition) -> CompactedRecord:
    """Make the record of a definition."""
    return _record(topology, f"{_PREFIX}{definition.name}", definition.as_json())


def progress_record(topology: Topology, name: str, progress: ReplayProgress) -> CompactedRecord:
    """Make the record of a replay's progress."""
    return _record(topology, f"{_PREFIX}{name}{_PROGRESS}", progress.as_json())


def read_replays(kafka: KafkaSettings, topology: Topology) -> tuple[StoredReplay, ...]:
    """Read every replay that is kept, the newest first.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The topic does not exist or may not be read.
    """
    found = replays_in(read_latest(kafka, [topology.letters])[topology.letters])
    return tuple(sorted(found.values(), key=lambda each: each.definition.at, reverse=True))


def read_replay(
    kafka: KafkaSettings, topology: Topology, name: str
) -> tuple[StoredReplay, tuple[ReplayedJob, ...]]:
    """Read one replay, and the jobs that it sent to lanes.

    Raises:
        NoReplayError: There is none of this name.
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The topic does not exist or may not be read.
    """
    records = read_latest(kafka, [topology.letters])[topology.letters]
    replays = replays_in(records)
    if name not in replays:
        known = ", ".join(sorted(replays)) or "none"
        raise NoReplayError(
            f"pipeline {topology.pipeline!r} has no replay {name!r} (kept are: {known}); "
            "`headrace dlq replay list` shows them"
        )
    return replays[name], tuple(_jobs(records, name))


def _record(topology: Topology, key: str, value: Mapping[str, Any]) -> CompactedRecord:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return CompactedRecord(topology.letters, key.encode(), text.encode(errors="replace"))


def is_replay(key: str) -> bool:
    """Whether a record of the letters topic tells of a replay."""
    return key.startswith(_PREFIX)


def replays_in(records: Mapping[bytes, bytes]) -> dict[str, StoredReplay]:
    """Put the records of replays together, by their names; one that cannot be read is left out."""
    found: dict[str, StoredReplay] = {}
    for key, value in records.items():
        name = key.decode(errors="replace")
        if not is_replay(name) or name.endswith(_PROGRESS):
            continue
        try:
            definition = ReplayDefinition.from_json(json.loads(value))
            progress = ReplayProgress.from_json(json.loads(records[key + _PROGRESS.encode()]))
        except (ValueError, KeyError, TypeError) as error:
            _LOG.warning("the letters topic holds an unreadable replay under %s: %s", name, error)
        else:
            found[definition.name] = StoredReplay(definition, progress)
    return found


def _jobs(records: Mapping[bytes, bytes], name: str) -> Iterator[ReplayedJob]:
    quoted = json.dumps(name).encode()  # a quick look: few marks are this replay's
    for value in records.values():
        mark = _mark(value) if quoted in value else None
        if mark is not None and mark.replay == name:
            yield ReplayedJob(mark.job, mark.generation + 1)


def _mark(value: bytes) -> LetterMark | None:
    try:
        return decode_mark(value)
    except (ValueError, KeyError, TypeError):
        return None
