"""A pipeline whose jobs end in every way, and a worker that runs them, for tests of the views."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from headrace.consumers.scheduler import Scheduler, SchedulerOptions
from headrace.consumers.worker import Worker, WorkerOptions
from headrace.pipeline import Pipeline, Queue, Reject, Retry
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics


def make_shop(name: str) -> Pipeline:
    """A pipeline with one queue of two priorities, and one nobody works on."""
    shop = Pipeline(
        name,
        queues=[
            Queue("default", priorities=("high", "normal"), partitions=2),
            Queue("idle", priorities=("normal",), partitions=2),
        ],
    )

    @shop.job("greet")
    def greet(name: str, at: timedelta = timedelta(seconds=1)) -> str:
        return f"Grüß Gott, {name}"

    @shop.job("fail", retry=Retry(max_attempts=2, base=timedelta(milliseconds=10), jitter=0))
    def fail(order: int) -> None:
        raise ValueError(f"order {order} is broken")

    @shop.job("reject", priority="high")
    def reject(why: str) -> None:
        raise Reject(why)

    @shop.job("idle", queue="idle")
    def idle(number: int) -> None: ...

    return shop


def kafka_settings(bootstrap: str) -> KafkaSettings:
    return load(KafkaSettings, bootstrap_servers=bootstrap)


def make_topics(shop: Pipeline, kafka: KafkaSettings) -> None:
    topics = load(TopicSettings, delay_partitions=1, events_partitions=2)
    report = apply_plan(plan_topics(shop, kafka, topics), kafka)
    assert report.ok, report.refused


@contextmanager
def working(shop: Pipeline, kafka: KafkaSettings) -> Iterator[Worker]:
    """A worker on the queue `default`, in threads of this process."""
    lanes = [lane for lane in shop.topology.lanes() if lane.queue == "default"]
    worker = Worker(shop, lanes, concurrency=4, options=WorkerOptions(kafka=kafka))
    thread = threading.Thread(target=worker.run, name="worker")
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(30)
    assert worker.failure is None


@contextmanager
def scheduling(shop: Pipeline, kafka: KafkaSettings) -> Iterator[Scheduler]:
    scheduler = Scheduler(shop, options=SchedulerOptions(kafka=kafka))
    thread = threading.Thread(target=scheduler.run, name="scheduler")
    thread.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()
        thread.join(30)
