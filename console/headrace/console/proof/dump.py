"""What a proof run left on the topics: typed, and kept in the run folder so that it can be re-checked.

    topics/records.tsv.gz      `TopicRecord`: every job record on lanes, delay tiers, dead letters
    topics/transitions.tsv.gz  `StoredTransition`: every transition on the events topic
    topics/positions.tsv.gz    `Position` of every partition of lanes and delay tiers

Payloads are left out: no promise is about them.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from headrace.console.proof.records import Committed, Place
from headrace.console.proof.run_folder import TOPICS, RunFolderError, tsv_fields, tsv_line

RECORDS: Final = "records.tsv.gz"
TRANSITIONS: Final = "transitions.tsv.gz"
POSITIONS: Final = "positions.tsv.gz"
_Line = TypeVar("_Line")


class Role(Enum):
    """What a topic of a pipeline is for."""

    LANE = auto()
    TIER = auto()
    DEAD = auto()
    EVENTS = auto()
    OTHER = auto()


def role_of(topic: str, pipeline: str) -> Role:
    """Tell it from the topic's name alone: `<pipeline>.<queue>.<priority>` is a lane."""
    head, _, rest = topic.partition(f"{pipeline}.")
    if head or not rest:
        return Role.OTHER
    if rest == "events":
        return Role.EVENTS
    if rest.startswith("delay."):
        return Role.TIER
    if rest.endswith(".dlq"):
        return Role.DEAD
    if rest.endswith(".dedup"):
        return Role.OTHER
    return Role.LANE if rest.count(".") == 1 else Role.OTHER


class TopicRecord(NamedTuple):
    """One committed record of a lane, a delay tier or a dead-letter topic. Times in epoch ms."""

    topic: str
    partition: int
    offset: int
    appended: int
    """When the broker stored it, by the broker's clock."""
    job_id: str
    attempt: int
    step: int
    generation: int
    due: int
    """0 when it has none."""
    worker: str
    """Dead letters: who wrote it; empty elsewhere."""
    reason: str
    """Dead letters: why."""

    @property
    def place(self) -> Place:
        """Its topic and partition."""
        return (self.topic, self.partition)


class StoredTransition(NamedTuple):
    """One transition, as it lies on the events topic. Times in epoch ms."""

    appended: int
    """When the broker stored its batch, by the broker's clock."""
    job_id: str
    state: str
    lane: str
    partition: int
    offset: int
    """Of the record that it speaks of."""
    attempt: int
    step: int
    generation: int
    due: int
    worker: str
    error_type: str


class Position(NamedTuple):
    """Where the group of a partition stands after the run."""

    end: int
    """The partition's end offset."""
    committed: Committed


@dataclass(frozen=True, slots=True)
class Records:
    """All that was read, after every worker and scheduler had ended."""

    records: Sequence[TopicRecord]
    transitions: Sequence[StoredTransition]
    positions: Mapping[Place, Position]


def write(records: Records, folder: Path) -> None:
    """Keep what was read in the folder of its run."""
    topics = folder / TOPICS
    topics.mkdir(parents=True, exist_ok=True)
    _write(topics / RECORDS, records.records)
    _write(topics / TRANSITIONS, records.transitions)
    positions = sorted(records.positions.items())
    _write(topics / POSITIONS, ((*place, at.end, *at.committed) for place, at in positions))


def read(folder: Path) -> Records:
    """Read what `write` kept.

    Raises:
        RunFolderError: A file is missing or broken.
    """
    topics = folder / TOPICS
    intern = interning()
    return Records(
        list(_read(topics / RECORDS, lambda parts: _record(parts, intern))),
        list(_read(topics / TRANSITIONS, lambda parts: _transition(parts, intern))),
        dict(_read(topics / POSITIONS, _position)),
    )


Intern = Callable[[str], str]


def interning() -> Intern:
    """Give equal texts as one object: a million records name far fewer jobs and topics."""
    texts: dict[str, str] = {}
    return lambda text: texts.setdefault(text, text)


def _write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(f"{tsv_line(row)}\n")


def _read(path: Path, parse: Callable[[list[str]], _Line]) -> Iterator[_Line]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield parse(tsv_fields(line.rstrip("\n")))
    except (OSError, EOFError, ValueError) as error:
        raise RunFolderError(
            f"{path} cannot be read: {error}; what lay on the topics was not kept, so this run can "
            "only be checked while its broker runs"
        ) from error


def _record(parts: list[str], intern: Intern) -> TopicRecord:
    topic, partition, offset, appended, job_id, attempt, step, generation, due, worker, why = parts
    return TopicRecord(
        intern(topic), int(partition), int(offset), int(appended), intern(job_id), int(attempt),
        int(step), int(generation), int(due), intern(worker), intern(why),
    )  # fmt: skip


def _transition(parts: list[str], intern: Intern) -> StoredTransition:
    (
        appended, job_id, state, lane, partition, offset, attempt, step, generation, due, worker,
        error_type,
    ) = parts  # fmt: skip
    return StoredTransition(
        int(appended), intern(job_id), intern(state), intern(lane), int(partition), int(offset),
        int(attempt), int(step), int(generation), int(due), intern(worker), intern(error_type),
    )  # fmt: skip


def _position(parts: list[str]) -> tuple[Place, Position]:
    topic, partition, end, offset, metadata = parts
    return (topic, int(partition)), Position(int(end), Committed(int(offset), metadata))
