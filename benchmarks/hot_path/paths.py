"""The two hot paths, each in one thread: submitting a job, and draining one that does nothing."""

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Any, TypeVar
from unittest.mock import patch

from benchmarks.hot_path.clients import QuickConsumer, QuickProducer
from headrace.consumers.executors.async_executor import AsyncExecutor
from headrace.consumers.fencing import Fencing
from headrace.consumers.figures import LaneFigures
from headrace.consumers.handover import HandOvers
from headrace.consumers.isolation import Isolation
from headrace.consumers.lane import LaneThread
from headrace.consumers.member import Member
from headrace.consumers.orders import Orders
from headrace.consumers.partitions import Partitions
from headrace.consumers.recent import READ_BACK
from headrace.consumers.recording import Recorder
from headrace.consumers.running import Runner
from headrace.consumers.settled import Rules
from headrace.consumers.slots import Slots
from headrace.consumers.transition_log import TransitionLog
from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.settings import ClaimSettings, KafkaSettings
from headrace.producers import Producer

shop = Pipeline("shop", queues=[Queue("default", priorities=("normal",), partitions=1)])
_Found = TypeVar("_Found")
_NOTE = "x" * 160
_WARM = 300
"""Jobs before anything is counted: caches are filled, and the window of the partition is wide."""
_BATCH = 100
"""Records that a poll gives."""


@shop.job("noop")
async def noop(order: str, amount: int, note: str) -> None:
    """Nothing, to count what running a job costs."""


def submitted(jobs: int, measure: Callable[[Callable[[], object]], _Found]) -> _Found:
    """Measure the submission of so many jobs."""
    producer = _producer(QuickProducer())
    _submit(producer, _WARM)
    found = measure(lambda: _submit(producer, jobs))
    producer.close()
    return found


def drained(jobs: int, measure: Callable[[Callable[[], object]], _Found]) -> _Found:
    """Measure the running of so many jobs: from the poll to the commit, transitions published."""
    kept: list[dict[str, Any]] = []
    producer = _producer(QuickProducer(kept))
    _submit(producer, _WARM + jobs)
    producer.close()
    # By the clock a process that a busy machine holds up for seconds would stop and ask who owns what.
    trusted = patch("headrace.consumers.commits.TRUSTED_FOR", math.inf)
    drain = _Drain(kept)
    with trusted, closing(drain.loop):
        drain.take_over()
        drain.until(_WARM)
        return measure(lambda: drain.until(_WARM + jobs))


def _producer(client: QuickProducer) -> Producer:
    """Make a producer that has nothing to ask the broker about any more."""
    with patch("headrace.producers.producer.make_producer", lambda *_, **__: client):
        producer = Producer(shop, kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    (lane,) = shop.topology.lanes()
    producer._preparation._limits[lane.topic] = 1_000_000  # noqa: SLF001
    producer._preparation._published.add(noop.arguments.fingerprint)  # noqa: SLF001
    return producer


def _submit(producer: Producer, jobs: int) -> None:
    for number in range(jobs):
        producer.submit(noop.job(f"order-{number}", number, _NOTE))


class _Drain:
    """A worker with one lane whose threads are one: its turns and those of its loop take turns."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        (lane,) = shop.topology.lanes()
        self._records = records
        figures = LaneFigures(job_types=frozenset(shop.job_types))
        partitions = Partitions("t", "earliest", fencing=Fencing(_never), read_back=READ_BACK)
        transitions = TransitionLog(_client(QuickProducer()), shop.topology.events)
        self.recorder = Recorder(
            partitions, HandOvers(_never), transitions, "events", figures, lane.topic
        )
        runner = Runner(shop, _client(None), 10_000, ClaimStore(ClaimSettings(), shop.name))
        slots = Slots(_BATCH, lambda record: self.executor.start(record))
        self.lane = LaneThread(
            Rules(lane, shop.topology, shop.job_types, "worker"),
            self._make_consumer,
            partitions,
            self.recorder,
            slots,
            Isolation((slots,), _never, 1),
            figures,
            orders=Orders(),
            cancel=_never,
            in_children=False,
            drain_budget=1.0,
            buffer_bytes=10_000_000,
            on_failure=_never,
        )
        self.executor = AsyncExecutor(runner, self.lane.report, _never)
        self.loop = self.executor._loop  # noqa: SLF001
        self.executor._thread = threading.current_thread()  # noqa: SLF001
        self.executor._stopping = asyncio.Event()  # noqa: SLF001
        self.lane._next_announcement = float("inf")  # noqa: SLF001 - nothing by the clock
        self.lane._member = Member(  # noqa: SLF001
            lane.topic,
            [lane.topic],
            self._make_consumer,
            partitions,
            self.recorder,
            figures,
            self.lane,
        )

    def _make_consumer(self, on_commit: Any, on_error: Any) -> Any:
        (lane,) = shop.topology.lanes()
        self.consumer = QuickConsumer(lane.topic, self._records, _BATCH, on_commit)
        return self.consumer

    def take_over(self) -> None:
        """Have the partition assigned; its window grows by turns, not by the clock."""
        self.lane.turn()
        turns = count()
        for owned in self.lane.partitions.owned.values():
            owned.clock = lambda: next(turns) * 0.1

    def until(self, jobs: int) -> None:
        """Take turns until so many jobs have ended, and what they were is recorded."""
        figures, ended = self.lane.figures, 0
        self.consumer.upto = jobs
        while ended < jobs or not self.recorder.idle:
            self.recorder.commits.soon()  # each turn: else the clock would say
            self.lane.turn()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            ended = figures.outcomes.get(("noop", "succeeded"), 0)


def _client(quick: Any) -> Any:
    """Give what stands for one of Kafka's clients, or for what is not asked at all."""
    return quick


def _never(*_: Any) -> Any:
    raise AssertionError("a job that does nothing needs no such thing")
