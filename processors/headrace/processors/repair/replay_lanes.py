"""Writing letters back to lanes, acknowledged, and reading what a dead process has written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.consumers.records import to_client
from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka import make_producer
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, TraceSettings, load
from headrace.pipeline.tracing import Operation, traces_of
from headrace.processors.reader import TopicReader
from headrace.processors.repair.replay_check import Cause, Refused, missing
from headrace.processors.repair.replay_errors import ReplayError
from headrace.processors.repair.replay_record import Outgoing
from headrace.processors.sightings import headers_of
from headrace.processors.snapshot import LogSpan
from headrace.schemas import headers

DELIVERY: Final = timedelta(seconds=20)
"""After this a record that no broker acknowledged is given up: below the time in which another
process would take a silent one for dead, so that nothing leaves late from one that slept."""
_GONE: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}  # noqa: SLF001
)
_ROOM_SECONDS: Final = 0.05
_ONLY_FAILURES: Final[Mapping[str, Any]] = {"delivery.report.only.error": True}
"""To be told of each letter that arrives costs as much as to send it."""
Copy = tuple[str, int]
"""A job's id and the generation of its record on the lane: what tells a letter's copy."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the letters of one batch.

    Attributes:
        written: Those that a lane has.
        refused: Those that no lane takes, with the reason.
    """

    written: Sequence[Outgoing]
    refused: Sequence[tuple[Outgoing, Refused]]


class LaneWriter:
    """Writes to lanes, never in a transaction. Owned by one thread.

    Args:
        kafka: Where Kafka is.
        partitions: How many each lane's topic has.
    """

    def __init__(self, kafka: KafkaSettings, partitions: Mapping[str, int]) -> None:
        self._kafka = kafka
        self._partitions = partitions
        self._traces = traces_of(load(TraceSettings))
        self._producer: Producer = make_producer(
            kafka,
            load(ProducerSettings, producer_delivery_timeout=DELIVERY),
            **_ONLY_FAILURES,
        )
        # Asked for first: a record for a topic unknown to the client waits half a second.
        self._producer.list_topics(timeout=DELIVERY.total_seconds())
        self._sent: list[Outgoing] = []
        self._failed: list[tuple[Outgoing, KafkaError]] = []

    def write(self, letter: Outgoing) -> None:
        """Send one letter; `settle` tells whether it arrived."""
        size = len(letter.payload or b"")
        span = self._traces.sending(Operation.REPLAY, letter.lane, letter.headers, size)
        self._write(letter)
        if span is not None:  # only failures are answered, so it ends with being sent
            span.stored()

    def _write(self, letter: Outgoing) -> None:
        while True:
            try:
                self._produce(letter)
            except BufferError:  # as many bytes as may wait: their answers make room
                self._producer.poll(_ROOM_SECONDS)
            except KafkaException as error:  # larger than this client sends at all
                self._failed.append((letter, kafka_error(error)))
                return
            else:
                self._sent.append(letter)
                return

    def _produce(self, letter: Outgoing) -> None:
        self._producer.produce(
            letter.lane,
            letter.payload,
            letter.key,
            letter.partition(self._partitions[letter.lane]),
            headers=to_client(letter.headers),
            on_delivery=partial(self._answered, letter),
        )

    def settle(self) -> Settled:
        """Wait until the lanes have all that was sent, or said no.

        Raises:
            KafkaUnavailableError: A letter was not acknowledged in time: it may be there or not.
            TopicError: Kafka refused for a reason that is not the letter's.
        """
        failed = self._flush()
        # Another record of its batch may have been too large.
        again = [letter for letter, error in failed if _is_size(error)]
        failed = [each for each in failed if not _is_size(each[1])]
        for letter in again:
            self.write(letter)
            failed += self._flush()
        refused = [(letter, self._refusal(letter, error)) for letter, error in failed]
        # By identity: to compare two letters costs more than to write one.
        missing_ones = {id(letter) for letter, _ in failed}
        sent = {id(letter): letter for letter in self._sent}
        self._sent.clear()
        return Settled([each for key, each in sent.items() if key not in missing_ones], refused)

    def close(self) -> None:
        """Drop what was not sent: whoever goes on with the replay sends it."""
        self._producer.purge()
        self._producer.flush(1)

    def _flush(self) -> list[tuple[Outgoing, KafkaError]]:
        """Wait for every answer; gives what failed."""
        left = self._producer.flush(DELIVERY.total_seconds() + 1)
        if left:
            raise KafkaUnavailableError(
                f"{left} letters were not acknowledged within {DELIVERY.total_seconds():g} s; "
                "resume the replay when Kafka is well"
            )
        failed, self._failed = self._failed, []
        return failed

    def _refusal(self, letter: Outgoing, error: KafkaError) -> Refused:
        if error.code() in _GONE:
            return missing(letter.lane)
        if _is_size(error):
            size = len(letter.payload or b"")
            return Refused(
                Cause.TOO_LARGE,
                f"{letter.lane} takes no record of this size ({size:,} bytes and its headers): "
                "raise HEADRACE_TOPIC_MAX_MESSAGE_BYTES and apply the topics again",
            )
        raise explain(f"writing to {letter.lane}", error, self._kafka)

    def _answered(self, letter: Outgoing, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append((letter, error))


def _is_size(error: KafkaError) -> bool:
    return error.code() == KafkaError.MSG_SIZE_TOO_LARGE


def written_since(
    kafka: KafkaSettings,
    spans: Iterable[LogSpan],
    floors: Mapping[Place, int],
    replay: str,
) -> set[Copy]:
    """Find the records that a replay wrote to lanes after its last recorded batch.

    A process that died between writing a batch and recording it leaves up to a batch of them. A
    lane recognises doubles only within its latest records, and a replay may be resumed long after.

    Args:
        kafka: Where Kafka is.
        spans: What the lanes hold now.
        floors: From where on to look, as the last recorded batch had them.
        replay: The replay's name, which its records carry.

    Raises:
        ReplayError: A lane has deleted records from that time on, so it cannot be told.
    """
    wanted = []
    for span in spans:
        floor = floors.get(span.place, 0)
        if span.start > floor:
            raise ReplayError(
                f"replay {replay!r} cannot be resumed safely: {span.topic}, partition "
                f"{span.partition}, keeps nothing before offset {span.start:,}, and letters that "
                f"were written from {floor:,} on without being recorded might run twice; begin a "
                "new replay, after a look at the last letters that this one replayed"
            )
        wanted.append(span.from_offset(floor))
    mark = replay.encode()
    found: set[Copy] = set()
    with TopicReader(kafka) as reader:
        for message in reader.read(wanted):
            raw = headers_of(message)
            if raw.get(headers.REPLAY) == mark:
                found.add((_text(raw, headers.ID), int(_text(raw, headers.GENERATION) or 0)))
    return found


def _text(raw: Mapping[str, bytes | None], name: str) -> str:
    return (raw.get(name) or b"").decode(errors="replace")
