"""Records as bytes: what a letter really is on its topic, for those that write it again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.pipeline.kafka import make_producer
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, load
from headrace.processors.sightings import Location, as_bytes

Headers = tuple[tuple[str, bytes | None], ...]
_FULL_SECONDS: Final = 0.05
_ANY_PARTITION: Final = -1


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record, nothing left out and nothing understood.

    Attributes:
        topic: Where it lies, or is to lie.
        partition: Of the topic; None to let the key decide.
        key: Its key.
        value: Its value.
        headers: In order, a name may stand there twice.
    """

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


def raw_record(message: Message) -> RawRecord:
    """Give a record as it was read."""
    found: Any = message.headers()
    return RawRecord(
        message.topic() or "",
        message.partition() or 0,
        as_bytes(message.key()),
        as_bytes(message.value()),
        tuple(found or ()),
    )


def write_records(kafka: KafkaSettings, records: Iterable[RawRecord]) -> list[Location]:
    """Write records, and give where they lie, in the same order. All are acknowledged on return.

    Raises:
        KafkaUnavailableError: Not all were acknowledged in time; some may be there.
        TopicError: A topic does not exist, may not be written, or refused a record.
    """
    producer = make_producer(kafka, load(ProducerSettings))
    places: list[Location | None] = []
    topics: set[str] = set()
    failed: list[KafkaError] = []

    def delivered_as(number: int) -> Any:
        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed.append(error)
                return
            places[number] = Location(
                message.topic() or "", message.partition() or 0, message.offset() or 0
            )

        return on_delivery

    try:
        for record in records:
            topics.add(record.topic)
            places.append(None)
            _produce(producer, record, delivered_as(len(places) - 1))
            if failed:
                break
        producer.flush()  # the delivery time-out ends every record
    except KafkaException as error:
        raise explain(_doing(topics), kafka_error(error), kafka) from error
    if failed:
        raise explain(_doing(topics), failed[0], kafka)
    return [place for place in places if place is not None]


def _produce(producer: Any, record: RawRecord, on_delivery: Any) -> None:
    partition = _ANY_PARTITION if record.partition is None else record.partition
    while True:
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                partition,
                on_delivery=on_delivery,
                headers=list(record.headers),
            )
            producer.poll(0)
            return
        except BufferError:
            producer.poll(_FULL_SECONDS)


def _doing(topics: set[str]) -> str:
    return f"writing to {', '.join(sorted(topics))}"
