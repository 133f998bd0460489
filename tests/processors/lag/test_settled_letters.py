"""How many dead letters wait for somebody, and what was done about the others."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import Producer as RawProducer

from headrace.pipeline import Pipeline
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.report import LagReport
from headrace.processors.repair.letter_states import LetterMark, LetterState, write_marks
from headrace.processors.sightings import Location
from tests.processors.view_shop import kafka_settings, make_shop, make_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def shop(kafka: str, unique_name: str) -> Pipeline:
    shop = make_shop(unique_name)
    make_topics(shop, kafka_settings(kafka))
    return shop


@pytest.fixture
def reader(kafka: str, shop: Pipeline) -> Iterator[LagReader]:
    with closing(LagReader(shop, kafka_settings(kafka), counts_all=True)) as reader:
        yield reader


def write_letters(kafka: str, topic: str, count: int) -> None:
    producer = RawProducer({"bootstrap.servers": kafka})
    for number in range(count):
        producer.produce(topic, b"%d" % number, partition=0)
    assert producer.flush(20) == 0


def letters(report: LagReport, topic: str) -> dict[str, int] | None:
    (found,) = (each for each in report.dead_letters if each.topic == topic)
    return None if found.letters is None else {k.value: n for k, n in found.letters.items()}


def test_letters_are_counted_by_what_was_done_about_them(
    kafka: str, shop: Pipeline, reader: LagReader
) -> None:
    topic = shop.topology.dead_letters("default")
    write_letters(kafka, topic, 5)
    assert letters(reader.read(), topic) == {"open": 5, "replayed": 0, "discarded": 0, "edited": 0}

    def mark(offset: int, state: LetterState) -> tuple[Location, LetterMark]:
        return Location(topic, 0, offset), LetterMark(state, f"job-{offset}", 0, "ada", 1)

    done = [mark(0, LetterState.REPLAYED), mark(1, LetterState.DISCARDED)]
    write_marks(kafka_settings(kafka), shop.topology, done)
    assert letters(reader.read(), topic) == {"open": 3, "replayed": 1, "discarded": 1, "edited": 0}
    # One of them is done with in another way now, and one that is not kept counts nowhere.
    other = mark(0, LetterState.EDITED)
    gone = (Location("gone.default.dlq", 0, 7), other[1])
    write_marks(kafka_settings(kafka), shop.topology, [other, gone])
    assert letters(reader.read(), topic) == {"open": 3, "replayed": 0, "discarded": 1, "edited": 1}


def test_a_single_look_does_not_read_what_was_done(kafka: str, shop: Pipeline) -> None:
    topic = shop.topology.dead_letters("default")
    with closing(LagReader(shop, kafka_settings(kafka))) as reader:
        assert letters(reader.read(), topic) is None
