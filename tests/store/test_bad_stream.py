"""What Kafka and databases do wrong stops no projector, and nothing of it goes unsaid.

What can go wrong: a record that nobody understands, or that only a newer version does, a topic that was
made anew or shortened, or a full disk ends the projector for good, or is passed over in silence.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer as RawProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.processors import stored_results
from headrace.processors.store import editions
from headrace.producers import Producer, ResultUnavailableError
from headrace.schemas.transitions import encode_batch
from tests.processors.test_newer_transitions import newer_batch
from tests.processors.view_shop import make_topics, working
from tests.store.evidence import transition
from tests.store.world import World, owner, states
from tests.support.stage import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def world(kafka: str, tmp_path: Path) -> World:
    return World(kafka, tmp_path)


def test_foreign_records_are_noted_and_stop_nothing(world: World) -> None:
    raw = RawProducer({"bootstrap.servers": world.kafka.bootstrap_servers})
    for value in (b"", b"\x00junk", b"\xc3\x01" + b"\x07" * 8 + b"what"):
        raw.produce(world.shop.topology.events, value, partition=0)
    raw.produce(f"{world.shop.name}.default.normal", b"\xff", headers=[("x", b"\xff")])
    assert raw.flush(10) == 0
    world.live()
    with world.projecting():
        world.await_agreement()
    with world.store() as reader:
        assert sum(gap.records for gap in reader.gaps()) == 3


def test_what_a_newer_version_tells_is_counted_and_the_rest_goes_on(world: World) -> None:
    lane = f"{world.shop.name}.default.normal"
    now = editions.now_ms()
    known = transition("a", lane=lane, time=now)
    parked = transition("a", "parked", lane=lane, step=2, time=now + 1)
    absurd = [transition("b", lane=lane, time=2**62), transition("b", lane=lane, generation=-1)]
    _, unpublished = newer_batch(lane)
    raw = RawProducer({"bootstrap.servers": world.kafka.bootstrap_servers})
    for value in (encode_batch([known, parked, *absurd]), unpublished):
        raw.produce(world.shop.topology.events, value, partition=0)
    raw.produce(f"{world.shop.name}.idle.normal", b"", headers=[("ce_id", b"x" * 501),
                                                                ("ce_type", b"idle")])  # fmt: skip
    assert raw.flush(10) == 0
    with world.projecting():
        wait_until("all of it is read", lambda: len(gaps_of(world)) == 4)
        assert states(world.told_by_store()) == {"succeeded": 1}
    assert world.told_by_kafka()["a"].state == "succeeded"
    wanted = ("'parked'", "out of any range", "topics apply", "500 characters")
    for part in wanted:
        assert sum(part in reason for reason in gaps_of(world)) == 1, part


def gaps_of(world: World) -> list[str]:
    with world.store() as reader:
        return [gap.reason for gap in reader.gaps()] if reader.edition() else []


def test_records_that_retention_deleted_unread_are_told_of_and_the_rest_is_read(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.submit(8)
    with world.projecting():
        world.await_agreement()
    world.submit(8)
    delete_all(world, f"{world.shop.name}.idle.normal")
    world.submit(8)
    with world.projecting():
        kept = world.told_by_kafka().keys()
        wait_until("the rest is there", lambda: kept <= world.told_by_store().keys())
    assert "records were deleted before they were read" in capsys.readouterr().out
    assert len(world.told_by_store()) == 22


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(world: World) -> None:
    with world.projecting():
        world.live()
        world.await_agreement()
    before = world.told_by_store()
    idle = f"{world.shop.name}.idle.normal"
    admin = AdminClient({"bootstrap.servers": world.kafka.bootstrap_servers})
    admin.delete_topics([idle])[idle].result(30)
    wait_until("it is gone", lambda: idle not in admin.list_topics(timeout=10).topics)
    make_topics(world.shop, world.kafka)
    with Producer(world.shop, kafka=world.kafka) as producer:
        fresh = producer.submit("idle", {"number": 99}).job_id
    with world.projecting():
        wait_until("the new one is there", lambda: fresh in world.told_by_store())
    assert before.keys() <= world.told_by_store().keys()


def delete_all(world: World, topic: str) -> None:
    """As retention does."""
    admin = AdminClient({"bootstrap.servers": world.kafka.bootstrap_servers})
    count = len(admin.list_topics(topic, timeout=10).topics[topic].partitions)
    places = [TopicPartition(topic, number, -1) for number in range(count)]
    for future in admin.delete_records(places).values():
        future.result(30)


def test_a_result_that_kafka_tells_no_more_comes_from_the_store(world: World) -> None:
    with (
        stored_results(world.shop, world.settings) as source,
        Producer(world.shop, kafka=world.kafka, results=source) as producer,
        Producer(world.shop, kafka=world.kafka) as other,
    ):
        receipts = [each.submit("greet", {"name": "Ada"}) for each in (producer, other)]
        with world.projecting(), working(world.shop, world.kafka):
            wait_until("both are stored", lambda: states(world.told_by_store())["succeeded"] == 2)
        delete_all(world, world.shop.topology.events)
        assert receipts[0].result(30) == "Grüß Gott, Ada"
        with pytest.raises(ResultUnavailableError, match="keeps nothing any more"):
            receipts[1].result(30)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """A database that says it is full for as long as it is told to."""
    import sqlite3

    from headrace.processors.store import writing

    write, refused = writing._many, [False]

    def refuse(*given: object) -> None:
        if refused[0]:
            from sqlalchemy.exc import OperationalError

            cause = sqlite3.OperationalError("database or disk is full")
            raise OperationalError("INSERT", {}, cause)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "_many", refuse)

    def set_full(state: bool) -> None:
        refused[0] = state

    yield set_full
    refused[0] = False


def test_a_full_disk_is_waited_for(world: World, full: Callable[[bool], None]) -> None:
    world.submit(8)
    full(True)
    with world.projecting() as projector:
        wait_until("it owns the store", lambda: owner(world.settings, world) == projector.owner)
        assert world.told_by_store() == {}
        full(False)
        world.await_agreement()
