"""What the topics say of one run: transitions on the events topic, records in the dead letters.

A run's jobs are told from those of earlier runs by their tenant, which is the run's name.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position

from examples.source_audit.compare import Audit
from examples.source_audit.jobs import audit, measure_file
from headrace.consumers.records import header_list
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import kafka_error
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.settings import KafkaSettings
from headrace.schemas import headers
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch

EVENTS = audit.topology.events
DEAD_LETTERS = audit.topology.dead_letters(measure_file.policy.queue)
SUMMED = ("lines", "code_lines", "functions", "classes", "branches")
YOUNG = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
"""What is answered for a partition in its first moments."""
ANSWER = 10.0
"""Seconds that Kafka may take to answer a question about offsets."""
LATE_LETTERS = 10.0
"""Seconds to wait for dead letters whose transaction is only just being committed."""


@dataclass(slots=True)
class Standing:
    """How the jobs of a run stand, by what has been read so far.

    Attributes:
        latest: The last transition of each job, by job id.
        finished: How many jobs will not run again.
        again: Finished attempts of jobs that had finished before: a killed worker's, repeated.
        began: When the first attempt started, in epoch ms.
        ended: When the last attempt ended, in epoch ms.
    """

    latest: dict[str, Transition] = field(default_factory=dict)
    finished: int = 0
    again: int = 0
    began: int | None = None
    ended: int = 0

    @property
    def rate(self) -> float | None:
        """Jobs a second, from the first start to the last end; None while there is nothing yet."""
        if self.began is None or self.ended <= self.began:
            return None
        return self.finished / ((self.ended - self.began) / 1000)

    def take(self, transitions: Iterable[Transition]) -> None:
        """Merge transitions; their order does not matter."""
        for each in transitions:
            known = self.latest.get(each.job_id)
            if known is None or each.order > known.order:
                self.latest[each.job_id] = each
            if is_final(each):
                repeated = known is not None and is_final(known)
                self.again += repeated
                self.finished += not repeated
            if each.started is not None:
                self.began = min(each.started, self.began or each.started)
            self.ended = max(self.ended, each.ended or 0)

    def count(self, *states: JobState) -> int:
        """How many jobs stand in one of the states."""
        return sum(each.state in states for each in self.latest.values())


def is_final(each: Transition) -> bool:
    """Whether nothing follows by itself."""
    return JobState(each.state).is_final


class RunEvents:
    """Follows the events topic from where it ended when this was made."""

    def __init__(self, kafka: KafkaSettings, run: str) -> None:
        self.standing = Standing()
        self._run = run
        self._reader = make_reader(kafka)
        self.start = ends(self._reader, EVENTS)
        self._reader.assign(self.start)

    def read(self, seconds: float) -> None:
        """Take what came into `standing`, after waiting for the first at most so long."""
        first = self._reader.poll(seconds)
        for message in [first, *self._reader.consume(500, 0)] if first is not None else []:
            if _is_record(message):
                self.standing.take(_of_run(message, self._run))

    def close(self) -> None:
        """Leave."""
        self._reader.close()


@dataclass(frozen=True, slots=True)
class Account:
    """What a run came to, by the topics alone.

    Attributes:
        audit: To be compared.
        standing: Each job's last transition.
        dead_letters: The ids of the dead letters, by path.
    """

    audit: Audit
    standing: Standing
    dead_letters: Mapping[str, str]


def read_back(
    kafka: KafkaSettings, run: str, start: list[Position], paths: Mapping[str, str]
) -> Account:
    """Read a run's outcomes from the topics, with a reader that has seen nothing before.

    Args:
        kafka: Where Kafka is.
        run: The run's name.
        start: Where the events topic ended before the run.
        paths: Of the submitted jobs, by job id.
    """
    standing = Standing()
    with closing(make_reader(kafka)) as reader:
        for message in _until_end(reader, start):
            standing.take(_of_run(message, run))
    letters = _letters(kafka, run, standing.count(JobState.DEAD))
    digests, totals = _results(kafka, standing, paths)
    errors = {
        _path(letter, paths): f"{letter[headers.ERROR_TYPE]}: {letter[headers.ERROR_MESSAGE]}"
        for letter in letters.values()
    }
    by_path = {_path(letter, paths): job_id for job_id, letter in letters.items()}
    files = len({*digests, *errors})
    return Account(Audit(files, digests, errors, totals), standing, by_path)


def ends(reader: Consumer, topic: str) -> list[Position]:
    """Give the positions at which the partitions of a topic end now."""
    partitions = reader.list_topics(topic, timeout=ANSWER).topics[topic].partitions
    return [Position(topic, partition, _end(reader, topic, partition)) for partition in partitions]


def _end(reader: Consumer, topic: str, partition: int) -> int:
    """Ask until the broker leads the partition: of a topic just made it may not know that yet."""
    deadline = time.monotonic() + ANSWER
    while True:
        try:
            _, end = reader.get_watermark_offsets(Position(topic, partition), timeout=ANSWER)
            return int(end)
        except KafkaException as error:
            if kafka_error(error).code() not in YOUNG or time.monotonic() > deadline:
                raise
            reader.poll(0.05)


def digest_of(result: Any) -> str:
    """SHA-256, in hex, of the result's fields as JSON with sorted keys and no spaces."""
    fields = asdict(result)
    text = json.dumps({name: fields[name] for name in sorted(fields)}, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _results(
    kafka: KafkaSettings, standing: Standing, paths: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, int]]:
    schemas = known_schemas(audit, kafka)
    codec = measure_file.result
    assert codec is not None
    digests: dict[str, str] = {}
    totals: dict[str, int] = dict.fromkeys(SUMMED, 0)
    for job_id, transition in standing.latest.items():
        if transition.state != JobState.SUCCEEDED or transition.result is None:
            continue
        result = codec.decode(transition.result, schemas)
        digests[paths.get(job_id, f"unknown job {job_id}")] = digest_of(result)
        for name in totals:
            totals[name] += getattr(result, name)
    return digests, totals


def _letters(kafka: KafkaSettings, run: str, expected: int) -> dict[str, dict[str, str]]:
    """Read the headers of the run's dead letters, by job id."""
    deadline = time.monotonic() + LATE_LETTERS
    while True:
        with closing(make_reader(kafka)) as reader:
            positions = ends(reader, DEAD_LETTERS)
            for position in positions:
                position.offset = OFFSET_BEGINNING
            found = [_text_headers(message) for message in _until_end(reader, positions)]
        letters = {each[headers.ID]: each for each in found if each.get(headers.TENANT) == run}
        if len(letters) >= expected or time.monotonic() > deadline:
            return letters


def _path(letter: Mapping[str, str], paths: Mapping[str, str]) -> str:
    return paths.get(letter[headers.ID], f"unknown job {letter[headers.ID]}")


def _text_headers(message: Message) -> dict[str, str]:
    return {name: (value or b"").decode(errors="replace") for name, value in header_list(message)}


def _until_end(reader: Consumer, positions: list[Position]) -> Iterator[Message]:
    """Give the committed records of partitions up to their ends."""
    reader.assign(positions)
    waiting = {position.partition for position in positions}
    while waiting:
        first = reader.poll(ANSWER)
        if first is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        for message in (first, *reader.consume(1_000, 0)):
            if _is_record(message):
                yield message
            else:
                waiting.discard(message.partition() or 0)


def _is_record(message: Message) -> bool:
    """Tell a record from the note that a partition has ended."""
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
        return False
    raise KafkaException(error)


def _of_run(message: Message, run: str) -> Iterator[Transition]:
    payload = message.value()
    assert isinstance(payload, bytes)
    return (each for each in decode_batch(payload) if each.tenant == run)
