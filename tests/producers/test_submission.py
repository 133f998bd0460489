"""Submitting, rightly and wrongly, to a real Kafka.

What can go wrong: a mistake of the caller reaches the lane and fails there, far from its cause; a
job is refused without a word, or its failure is told to nobody; a broker that is away hangs or
kills the service that submits; what was accepted cannot be run because it is too large.
"""

import asyncio
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.errors import TopicError, UnknownJobTypeError
from headrace.pipeline.schema_topic import SchemaTopic
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.producers import DeliveryError, PayloadTooLargeError, Producer, SubmitError
from headrace.schemas.errors import ArgumentError
from headrace.schemas.states import JobState
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage.build(f"t{uuid.uuid4().hex[:8]}", kafka, tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def producer(stage: Stage) -> Iterator[Producer]:
    with stage.producer() as producer:
        yield producer


def work(tag: str = "t") -> dict[str, Any]:
    return {"journal": "/dev/null", "tag": tag}


def count(stage: Stage) -> int:
    return sum(len(stage.records(f"default.{priority}")) for priority in ("high", "normal"))


@pytest.mark.parametrize(
    ("name", "arguments", "options", "error", "told"),
    [
        ("work", {"journal": "j"}, {}, ArgumentError, "tag"),
        ("work", {"journal": "j", "tag": 5}, {}, ArgumentError, "tag"),
        ("work", work() | {"more": 1}, {}, ArgumentError, "more"),
        ("work", {"journal": "j", "tag": "\ud800"}, {}, ArgumentError, "tag"),
        ("wrok", work(), {}, UnknownJobTypeError, "wrok"),
        ("work", work(), {"priority": "urgent"}, SubmitError, "'urgent'"),
        ("work", work(), {"delay": timedelta(seconds=-1)}, SubmitError, "delay=-1 day"),
        ("work", work(), {"delay": timedelta(days=40_000)}, SubmitError, "hundred years"),
        ("work", work(), {"at": datetime(2030, 1, 1)}, SubmitError, "time zone"),  # noqa: DTZ001
        ("work", work(), {"expires": timedelta()}, SubmitError, "expires"),
        ("work", work(), {"expires": datetime(2001, 1, 1, tzinfo=UTC)}, SubmitError, "expires"),
        (
            "work",
            work(),
            {"delay": timedelta(seconds=1), "at": datetime(2030, 1, 1, tzinfo=UTC)},
            SubmitError,
            "not both",
        ),
        ("work", work(), {"key": ""}, SubmitError, "key=''"),
        ("work", work(), {"dedup_key": ""}, SubmitError, "dedup_key=''"),
        ("work", work(), {"tenant": "\ud800"}, SubmitError, "tenant"),
    ],
)
def test_a_mistake_is_told_at_once_and_nothing_is_sent(
    stage: Stage,
    producer: Producer,
    name: str,
    arguments: dict[str, Any],
    options: dict[str, Any],
    error: type[Exception],
    told: str,
) -> None:
    before = count(stage)
    with pytest.raises(error, match=told):
        producer.submit(name, arguments, **options)
    producer.flush(10)
    assert count(stage) == before


@pytest.mark.parametrize(
    ("delay", "tier"),
    [(10, "soon"), (11, "5s"), (80, "1m"), (3_600, "30m"), (10 * 365 * 86_400, "24h")],
)
def test_a_delayed_job_lies_in_the_largest_tier_that_is_over_well_before(
    stage: Stage, producer: Producer, delay: int, tier: str
) -> None:
    begun = time.time_ns()
    receipt = producer.submit("work", work(), delay=timedelta(seconds=delay))
    receipt.confirm(10)
    assert receipt.topic == stage.topic(f"delay.{tier}")
    record = stage.records(f"delay.{tier}")[-1]
    due = int(headers_of(record)["headrace-due"] or 0)
    assert 0 <= due * 1_000_000 - begun - delay * 1_000_000_000 < 5_000_000_000


def test_a_moment_that_has_passed_means_at_once(stage: Stage, producer: Producer) -> None:
    receipt = producer.submit("work", work(), at=datetime(2001, 1, 1, tzinfo=UTC))
    assert receipt.topic == stage.topic("default.normal")


def test_a_large_payload_runs_and_a_larger_one_is_refused_with_its_size(stage: Stage) -> None:
    journal = stage.journal()
    before = count(stage)
    with stage.worker(["default.normal"]), stage.producer() as producer:
        job_id = producer.submit("blob", {"journal": journal.path, "data": b"x" * 900_000}).job_id
        stage.await_state(job_id, JobState.SUCCEEDED)
        with pytest.raises(PayloadTooLargeError, match=r"1,2\d\d,\d\d\d bytes"):
            producer.submit("blob", {"journal": journal.path, "data": b"x" * 1_200_000})
    assert journal.count("done", "900000") == 1
    assert count(stage) == before + 1


def test_unicode_goes_everywhere(stage: Stage) -> None:
    journal = stage.journal()
    text = "żółć 作业 🎉 \u202e\u0000é"
    with stage.worker(["default.normal"]), stage.producer() as producer:
        receipt = producer.submit(
            "echo",
            {"journal": journal.path, "text": "作业 🎉", "of": {"ключ": "värde"}},
            key="schlüssel-🔑",
            tenant="társaság",
            dedup_key=text,
        )
        done = stage.await_state(receipt.job_id, JobState.SUCCEEDED)
    assert (done.tenant, done.key) == ("társaság", "schlüssel-🔑")
    (event,) = journal.events("done")
    assert event.tag == "作业 🎉|[('ключ', 'värde')]|társaság|schlüssel-🔑"
    (record,) = [m for m in stage.records("default.normal") if m.key() == "schlüssel-🔑".encode()]
    assert headers_of(record)["headrace-dedup"] == text.encode()


def test_the_same_dedup_key_is_the_same_id(producer: Producer) -> None:
    first, second, other = (
        producer.submit("work", work(), dedup_key=key).job_id for key in ("a", "a", "b")
    )
    assert first == second != other


def test_receipts_can_be_waited_for_and_awaited(stage: Stage, producer: Producer) -> None:
    job = stage.pipeline.job_type("work").job(**work())
    receipts = producer.submit_many([job] * 50)
    positions = [receipt.confirm(10) for receipt in receipts]
    assert len({(each.partition, each.offset) for each in positions}) == 50
    assert all(receipt.confirmed for receipt in receipts)

    async def main() -> list[Any]:
        made = [producer.submit(job) for _ in range(20)]
        return [*await asyncio.gather(*(_position(receipt) for receipt in made)), await made[0]]

    assert len(asyncio.run(main())) == 21


async def _position(receipt: Any) -> Any:
    return await receipt


def test_a_service_without_the_job_type_submits_by_its_published_schema(stage: Stage) -> None:
    journal = stage.journal()
    stranger = Pipeline(stage.pipeline.name, queues=list(stage.pipeline.queues.values()))
    with stage.worker(["default.normal"]), Producer(stranger, kafka=stage.kafka) as producer:
        job_id = producer.submit("work", {"journal": journal.path, "tag": "stranger"}).job_id
        stage.await_state(job_id, JobState.SUCCEEDED)
        with pytest.raises(ArgumentError, match="tag"):
            producer.submit("work", {"journal": journal.path})
    assert journal.count("done", "stranger") == 1


def test_a_closed_producer_refuses(stage: Stage) -> None:
    producer = stage.producer()
    producer.close()
    producer.close()
    with pytest.raises(SubmitError, match="closed"):
        producer.submit("work", work())


def test_missing_topics_are_named(kafka: str, unique_name: str) -> None:
    lonely = Pipeline(unique_name, queues=[Queue("default", partitions=1)])

    @lonely.job("noop")
    def noop() -> None: ...

    kafka_settings = load(KafkaSettings, bootstrap_servers=kafka)
    with (
        Producer(lonely, kafka=kafka_settings) as producer,
        pytest.raises(TopicError, match=rf"{unique_name}\.default\.normal.*headrace topics apply"),
    ):
        producer.submit(noop.job())


def test_a_job_goes_where_its_own_policy_says_not_where_the_last_of_its_type_went(
    stage: Stage, producer: Producer
) -> None:
    usual = stage.pipeline.job_type("work").job(**work())
    urgent = replace(usual, policy=replace(usual.policy, priority="high"))
    topics = [producer.submit(job).topic for job in (usual, urgent, usual)]
    topics.append(producer.submit(usual, priority="high").topic)
    assert [topic.rpartition(".")[2] for topic in topics] == ["normal", "high", "normal", "high"]


# -- a broker that is away -------------------------------------------------------------------------


@pytest.fixture
def nowhere() -> Iterator[KafkaSettings]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        yield load(KafkaSettings, bootstrap_servers=f"127.0.0.1:{door.getsockname()[1]}")


def short(**more: Any) -> ProducerSettings:
    return load(ProducerSettings, producer_delivery_timeout="1s", **more)


def away(
    stage: Stage, nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> Producer:
    """A producer that has seen its topics, and whose broker went away after that."""
    on_error = more.pop("on_error", None)
    producer = Producer(stage.pipeline, kafka=nowhere, settings=short(**more), on_error=on_error)
    monkeypatch.setattr(producer._preparation, "ensure", lambda *_: 1_000_000)
    return producer


def test_a_broker_that_never_answered_is_an_error_of_submit(
    stage: Stage, nowhere: KafkaSettings
) -> None:
    with (
        Producer(stage.pipeline, kafka=nowhere, settings=short()) as producer,
        pytest.raises(SubmitError, match=r"127\.0\.0\.1:\d+ did not answer within 1 s"),
    ):
        producer.submit("work", work())


def test_a_broker_that_went_away_is_an_error_of_the_receipt(
    stage: Stage, nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = away(stage, nowhere, monkeypatch)
    receipt = producer.submit("work", work())
    with pytest.raises(TimeoutError, match="still being sent"):
        receipt.confirm(0.05)
    with pytest.raises(DeliveryError, match=receipt.job_id):
        receipt.confirm(30)
    producer.flush(5)  # it has been told

    async def awaiting() -> None:
        await producer.submit("work", work())

    with pytest.raises(DeliveryError):
        asyncio.run(awaiting())
    producer.close()


def test_ignored_receipts_lose_no_error_and_flush_tells_once(
    stage: Stage, nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[DeliveryError] = []

    def on_error(error: DeliveryError) -> None:
        told.append(error)
        if len(told) == 1:
            raise RuntimeError("a callback with a mistake of its own")

    producer = away(stage, nowhere, monkeypatch, on_error=on_error)
    ids = {producer.submit("work", work()).job_id for _ in range(150)}
    with pytest.raises(DeliveryError, match="150 jobs were not delivered") as raised:
        producer.flush()
    assert raised.value.count == 150
    assert set(raised.value.job_ids) <= ids
    assert len(raised.value.job_ids) == 100
    assert {error.job_ids[0] for error in told} == ids
    producer.flush()
    with pytest.raises(DeliveryError), producer:
        producer.submit("work", work())


def test_a_full_local_queue_waits_and_then_says_so(
    stage: Stage, nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = away(
        stage,
        nowhere,
        monkeypatch,
        producer_queue_bytes=1_048_576,
        producer_queue_timeout="200ms",
    )
    blob = {"journal": "/dev/null", "data": b"x" * 300_000}
    begun = time.monotonic()
    for _ in range(3):
        producer.submit("blob", blob)
    with pytest.raises(SubmitError, match="local queue is full") as raised:
        producer.submit("blob", blob)
    assert time.monotonic() - begun >= 0.2
    assert "HEADRACE_PRODUCER_QUEUE_BYTES" in str(raised.value)
    with pytest.raises(DeliveryError):
        producer.close()


def test_a_full_local_queue_empties_when_the_broker_takes_it(stage: Stage) -> None:
    settings = {"producer_queue_bytes": 1_048_576, "producer_queue_timeout": "30s"}
    with stage.producer(**settings) as producer:
        blob = {"journal": "/dev/null", "data": b"x" * 300_000}
        receipts = [producer.submit("blob", blob) for _ in range(20)]
        producer.flush(30)
    wait_until("all are stored", lambda: all(receipt.confirmed for receipt in receipts))


# -- before the first one --------------------------------------------------------------------------


def test_a_prepared_producer_asks_nothing_when_it_submits_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage.producer() as producer:
        producer.prepare()
        for what in ("_check", "_publish"):
            monkeypatch.setattr(producer._preparation, what, _no_question)
        for priority in ("high", "normal"):
            producer.submit("work", work(), priority=priority).confirm(30)


def test_preparing_publishes_the_schemas_of_all_declared_types(kafka: str) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka)
    old, new = (Pipeline(f"t{id(settings)}", queues=[Queue("default")]) for _ in range(2))
    types = [new.declare(f"type-{number}", Empty) for number in range(3)]
    with Producer(new, kafka=settings) as producer:
        with pytest.raises(TopicError, match=f"{new.name}.default.normal.*headrace topics apply"):
            producer.prepare()
        topics = load(TopicSettings, topic_partitions=1)
        assert apply_plan(plan_topics(old, settings, topics), settings).ok
        producer.prepare()
    published = SchemaTopic(settings, new.topology).read()
    assert {each.arguments.fingerprint for each in types} <= published.keys()


def _no_question(*_: Any) -> None:
    raise AssertionError("Kafka was asked again")


@dataclass(frozen=True)
class Empty:
    """Arguments that are none."""
