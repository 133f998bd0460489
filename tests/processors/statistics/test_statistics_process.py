"""The statistics as a process on a real Kafka, against a plain recount of the topics.

What can go wrong: a batch that is counted twice because the process died between storing its
effect and committing; one that is not counted because it died the other way round; figures of a
partition that two processes publish, or none; the outcome of a job that its worker told twice; what
an aborted hand-over told; a bad record that stops everything; a port that nobody asked for.
"""

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from confluent_kafka import Producer as RawProducer

from headrace.consumers.clock import now_ms
from headrace.pipeline.kafka import make_transactional_producer
from headrace.pipeline.settings import ProducerSettings, TopicSettings, load
from headrace.processors import Statistics, read_statistics
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch, encode_batch
from tests.support.stage import RunningProcess, Stage, read_all, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]
TOPICS = load(TopicSettings, topic_partitions=2, delay_partitions=1, events_partitions=3)
PATIENCE = 120.0
_NAMES = {
    JobState.SUCCEEDED: ("succeeded",),
    JobState.RETRYING: ("failed", "retried"),
    JobState.DEAD: ("failed", "dead"),
}


class Teller:
    """Writes transitions to the events topic as workers do, and reads them back."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._offsets = itertools.count()
        self.lanes = [lane.topic for lane in stage.pipeline.topology.lanes()]

    def batch(self, lane: str, count: int, state: str = "succeeded", **changes: Any) -> Any:
        now = now_ms()
        fields: dict[str, Any] = {"attempt": 1, "step": 0, "generation": 0, "worker": "w"}
        times: dict[str, Any] = {
            "time": now,
            "created": now - 500,
            "started": now - 200,
            "ended": now,
        }
        return [
            Transition(
                job_id=f"job-{offset}",
                job_type="work",
                state=state,
                lane=lane,
                partition=0,
                offset=offset,
                **(fields | times | changes),
            )
            for offset in itertools.islice(self._offsets, count)
        ]

    def tell(self, *batches: list[Transition], raw: Any = None) -> None:
        servers = self._stage.kafka.bootstrap_servers
        # As workers compress, which aiokafka cannot read by itself
        producer = raw or RawProducer({"bootstrap.servers": servers, "compression.type": "lz4"})
        for batch in batches:
            payload = encode_batch(batch)
            producer.produce(self._stage.topic("events"), payload, batch[0].lane.encode())
        assert producer.flush(20) == 0

    def some(self, rounds: int) -> None:
        """Batches of every lane, some records of them told again as by the next owner."""
        batches = []
        for number in range(rounds):
            lane = self.lanes[number % len(self.lanes)]
            done = self.batch(lane, 40)
            failed = self.batch(lane, 10, "retrying", error_type="ValueError", step=1)
            dead = self.batch(lane, 2, "dead", error_type="ValueError")
            batches += [done, failed, done[5:9], dead, failed[:1] + dead[:1]]
        self.tell(*batches)

    def recount(self) -> Mapping[str, int]:
        """Count what the topic holds: of each record of a lane the first outcome."""
        seen: set[tuple[str, int, int]] = set()
        total: Counter[str] = Counter()
        for message in read_all(self._stage.kafka, self._stage.topic("events")):
            try:
                batch = decode_batch(message.value() or b"")
            except Exception:  # what the test of bad records wrote
                continue
            for each in batch:
                if each.state not in tuple(JobState):  # a newer version's
                    continue
                if (each.lane, each.partition, each.offset) not in seen:
                    seen.add((each.lane, each.partition, each.offset))
                    total.update(("started", *_NAMES[JobState(each.state)]))
        return dict(total)


@pytest.fixture
def stage(kafka: str, unique_name: str, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage.build(unique_name, kafka, tmp_path, topics=TOPICS)
    yield stage
    stage.close()


@pytest.fixture
def teller(stage: Stage) -> Teller:
    return Teller(stage)


def statistics(stage: Stage, **environment: str) -> AbstractContextManager[RunningProcess]:
    given = {
        "HEADRACE_STATS_DIR": str(stage.folder / "streams"),
        "HEADRACE_STATS_INTERVAL": "300ms",
        "HEADRACE_SESSION_TIMEOUT": "6s",
    }
    return stage.process("processors statistics", **(given | environment))


def counts(stage: Stage) -> Mapping[str, int]:
    found = read_statistics(stage.kafka, stage.pipeline).total().windows.get("1h")
    return {} if found is None else {k: v for k, v in found.figures.counts.items() if v}


def agrees(stage: Stage, teller: Teller, process: RunningProcess | None = None) -> None:
    """The figures become those of the recount, and stay so."""
    wanted = teller.recount()

    def right() -> bool:
        assert process is None or process.process.poll() is None, process.text()[-3000:]
        return complete(stage) and counts(stage) == wanted

    try:
        wait_until("the figures agree", right, PATIENCE)
    except AssertionError:
        log = process.text()[-3000:] if process is not None else ""
        sources = read_statistics(stage.kafka, stage.pipeline).sources
        raise AssertionError(f"{counts(stage)} is not {wanted}: {sources}: {log}") from None


def complete(stage: Stage) -> bool:
    found = read_statistics(stage.kafka, stage.pipeline)
    return found.is_complete and found.is_fresh(now_ms()) and len(found.sources) == 3


def test_figures_are_right_after_kill_9_restart_and_the_loss_of_the_local_state(
    stage: Stage, teller: Teller
) -> None:
    teller.some(6)
    with statistics(stage) as process:
        agrees(stage, teller, process)
        teller.some(30)
        wait_until("it has counted some", lambda: counts(stage).get("succeeded", 0) > 240, PATIENCE)
        process.kill()
    shutil.rmtree(stage.folder / "streams", ignore_errors=True)
    teller.some(6)
    with statistics(stage) as process:
        agrees(stage, teller, process)
        teller.some(3)
        agrees(stage, teller, process)
        assert process.terminate() == 0
    teller.some(3)
    with statistics(stage) as process:
        agrees(stage, teller, process)
        assert process.terminate() == 0


def test_figures_are_right_while_processes_come_and_go(stage: Stage, teller: Teller) -> None:
    teller.some(6)
    with statistics(stage) as first:
        agrees(stage, teller, first)
        with statistics(stage) as second:
            teller.some(6)
            wait_until("the second joins", lambda: "counting" in second.text(), PATIENCE)
            teller.some(6)
            agrees(stage, teller, second)
            assert first.terminate() == 0
            teller.some(6)
            agrees(stage, teller, second)
            assert second.terminate() == 0


def asked(process: RunningProcess, what: str) -> Any:
    """What the process answers on its own port, and no other one listens."""
    [port] = {
        each.laddr.port
        for each in psutil.Process(process.process.pid).net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }
    with urlopen(f"http://127.0.0.1:{port}/health/{what}", timeout=10) as answer:
        return json.load(answer)


def test_bad_records_and_aborted_hand_overs_stop_nothing_and_count_nothing(
    stage: Stage, teller: Teller
) -> None:
    stage.send_many([("events", b"no batch at all", b"k", ()), ("events", None, b"k", ())])
    teller.tell(teller.batch(teller.lanes[0], 4, "parked"))  # a state of a newer version
    producer = make_transactional_producer(stage.kafka, load(ProducerSettings), stage.topic("x"))
    producer.init_transactions(20)
    producer.begin_transaction()
    teller.tell(teller.batch(teller.lanes[0], 5), raw=producer)
    producer.abort_transaction(20)
    producer.begin_transaction()
    teller.tell(teller.batch(teller.lanes[0], 3), raw=producer)
    producer.commit_transaction(20)
    with statistics(stage) as process:
        agrees(stage, teller, process)
        assert counts(stage)["succeeded"] == 3
        connections = psutil.Process(process.process.pid).net_connections("inet")
        listening = [each for each in connections if each.status == psutil.CONN_LISTEN]
        assert [each.laddr.ip for each in listening] == ["127.0.0.1"]
        [ready] = asked(process, "ready")["checks"]
        assert ready == {"name": "statistics", "ok": True, "detail": "counting"}
        assert asked(process, "live")["status"] == "ok"
        assert process.terminate() == 0
        assert "Traceback" not in process.text()


def test_submissions_and_the_backlog_are_counted_on_the_lanes(stage: Stage) -> None:
    with stage.producer() as producer:
        for number in range(20):
            producer.submit("work", {"journal": "", "tag": str(number)}, priority="high")
        producer.submit("work", {"journal": "", "tag": "later"}, delay=timedelta(minutes=2))
    with statistics(stage, HEADRACE_STATS_TENANTS="acme") as process:
        wait_until("all are counted", lambda: counts(stage).get("submitted") == 21, PATIENCE)
        with stage.producer() as producer:
            producer.submit("work", {"journal": "", "tag": "x"}, tenant="acme")

        def found() -> Statistics:
            return read_statistics(stage.kafka, stage.pipeline)

        def of(**where: str) -> int:
            return found().total(**where).windows["1h"].figures["submitted"]

        wait_until("so is a new one", lambda: counts(stage).get("submitted") == 22)
        assert of(priority="high") == 20
        assert of(tenant="acme") == 1
        ready = wait_until(
            "the backlog is sampled",
            lambda: {
                lane: each.samples[-1].jobs
                for lane, each in found().backlogs.items()
                if each.samples
            }.get(stage.topic("default.high")),
        )
        assert ready == 20
        assert process.terminate() == 0
