"""What `benchmarks.delays` finds on a lane after the scheduler has released everything to it."""

import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from headrace.consumers.recent import RecentJobs
from headrace.consumers.records import header_list
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.settings import KafkaSettings
from headrace.schemas import headers


@dataclass(slots=True)
class Released:
    """What lies on a lane. Times in milliseconds, by the one clock of this machine.

    Attributes:
        lateness: Of each job's first record, by when it was due: (due, late).
        records: How many there are.
        early: Records that the broker appended before they were due.
        doubles: Records of jobs that are there already.
        unrecognised: Doubles that the lane's owner would have run.
    """

    lateness: list[tuple[int, int]] = field(default_factory=list)
    records: int = 0
    early: int = 0
    doubles: int = 0
    unrecognised: int = 0

    def figures(self, wanted: int) -> dict[str, float]:
        """Give it as figures, with the jobs that are missing."""
        late = [each for _, each in self.lateness]
        return {
            "jobs": wanted,
            "lost": wanted - len(late),
            "early": self.early,
            "doubled": self.doubles,
            "doubled_unrecognised": self.unrecognised,
            **percentiles(late),
        }

    def latest_between(self, begin: int, end: int) -> int:
        """The greatest lateness of what was due within a stretch of time."""
        return max((late for due, late in self.lateness if begin <= due < end), default=0)


def percentiles(late: Sequence[int]) -> dict[str, float]:
    """Give the middle, the 99th of a hundred, and the worst."""
    cuts = statistics.quantiles(late, n=100) if len(late) > 1 else [*late] * 99
    return {"late_p50_ms": cuts[49], "late_p99_ms": cuts[98], "late_max_ms": max(late)}


def count(kafka: KafkaSettings, topic: str) -> int:
    """How many records a topic has, by its watermarks: lanes have no transactions.

    0 when the client has not learnt yet who leads a partition: ask again.
    """
    reader = make_reader(kafka)
    try:
        places = [TopicPartition(topic, number) for number in _partitions(reader, topic)]
        return sum(reader.get_watermark_offsets(place, timeout=10)[1] for place in places)
    except KafkaException as error:
        if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:  # noqa: SLF001 - its public name
            raise
        return 0
    finally:
        reader.close()


def read(kafka: KafkaSettings, topic: str) -> Released:
    """Read a lane as its owners would, each partition in its order."""
    found, recent = Released(), RecentJobs()
    known: set[str] = set()
    for message in _messages(kafka, topic):
        _, appended = message.timestamp()
        job = headers.decode(header_list(message), lane=topic, timestamp=appended)
        double = recent.is_double(message.partition() or 0, message.offset() or 0, job)
        due = job.due or 0
        found.records += 1
        found.early += appended < due
        if job.job_id in known:
            found.doubles += 1
            found.unrecognised += not double
        else:
            known.add(job.job_id)
            found.lateness.append((due, appended - due))
    return found


def _messages(kafka: KafkaSettings, topic: str) -> Iterator[Message]:
    reader = make_reader(kafka)
    try:
        left = deque(_partitions(reader, topic))
        while left:
            reader.assign([TopicPartition(topic, left[0], 0)])
            ended = False
            while not ended:
                for message in reader.consume(1_000, 1.0):
                    if message.error() is None:
                        yield message
                    else:
                        ended = True
            left.popleft()
    finally:
        reader.close()


def _partitions(reader: object, topic: str) -> range:
    found = reader.list_topics(topic, timeout=10).topics[topic]  # type: ignore[attr-defined]
    return range(len(found.partitions))
