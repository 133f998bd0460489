"""The embedded broker's life on a real Kafka: begin, share, stop, crash, come back.

What can go wrong: two terminals start it at once, the one that starts it is interrupted, it is
killed with -9, its ports are taken while it is down, a transaction's time is over while it is down,
Kafka dies while it starts. In every case the data must still be there and be readable, no process may
be left over, and the message must say what to do.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.pipeline import broker
from headrace.pipeline.broker import errors, process, startup
from headrace.pipeline.topics.api import LATEST

STARTER = """
import json, sys
from pathlib import Path
from headrace.pipeline import broker
found = broker.start(broker.BrokerOptions(directory=Path(sys.argv[1])))
print(json.dumps([found.bootstrap, found.pid, found.started]))
"""
PATIENCE_SECONDS = 20.0
ABANDONED_SECONDS = 3
PARTITIONS = 4


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory with everything in its name that settings files quote or escape."""
    directory = tmp_path / 'a b\\é"🌊'
    yield directory
    if (directory / "kafka.json").exists():
        broker.stop(directory)


def begin(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def produce(bootstrap: str, topic: str, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        made.result(10)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for number in range(count):
        producer.produce(topic, str(number).encode())
    assert producer.flush(20) == 0


def abandon_transactions(bootstrap: str, topic: str, count: int) -> list[Producer]:
    """Write in transactions that nobody ends."""
    settings = {"bootstrap.servers": bootstrap, "transaction.timeout.ms": ABANDONED_SECONDS * 1_000}
    producers = [
        Producer({**settings, "transactional.id": f"{topic}.{number}"}) for number in range(count)
    ]
    for producer in producers:
        producer.init_transactions(20)
    for number, producer in enumerate(producers):
        producer.begin_transaction()
        producer.produce(topic, b"-1", partition=number % PARTITIONS)
    assert [producer.flush(20) for producer in producers] == [0] * count
    return producers


def held_up(bootstrap: str, topic: str) -> list[int]:
    """The partitions whose end readers of what is committed do not see."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = {TopicPartition(topic, number): LATEST for number in range(PARTITIONS)}
    ends = [
        {p.partition: f.result(10).offset for p, f in admin.list_offsets(wanted, **how).items()}
        for how in ({}, {"isolation_level": IsolationLevel.READ_COMMITTED})
    ]
    return [number for number in range(PARTITIONS) if ends[0][number] != ends[1][number]]


def consume(bootstrap: str, topic: str, count: int) -> set[int]:
    settings = {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "group.protocol": "consumer"})
    found: set[int] = set()
    try:
        consumer.subscribe([topic])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(1.0)
            value = message.value() if message is not None else None
            if value is not None:
                found.add(int(value))
    finally:
        consumer.close()
    return found


@pytest.mark.kafka
def test_two_starts_at_once_make_one_broker_that_outlives_both(home: Path) -> None:
    starters = [begin(home), begin(home)]
    answers = [json.loads(starter.communicate(timeout=100)[0]) for starter in starters]

    assert answers[0][:2] == answers[1][:2]
    assert sorted(started for _, _, started in answers) == [False, True]
    seen = broker.status(home)
    assert seen.state is broker.BrokerState.RUNNING
    assert [seen.bootstrap, seen.pid] == answers[0][:2]
    assert seen.data_bytes > 0

    assert broker.stop(home) is True
    assert broker.stop(home) is False
    assert process.started_of(answers[0][1]) is None
    stopped = broker.status(home)
    assert (stopped.state, stopped.pid) == (broker.BrokerState.STOPPED, None)
    assert "shut down completed" in seen.log.read_text("utf-8")


@pytest.mark.kafka
def test_a_killed_broker_comes_back_with_its_data_even_when_its_ports_are_gone(home: Path) -> None:
    lines: list[str] = []
    options = broker.BrokerOptions(directory=home, progress=lines.append)
    first = broker.start(options)
    produce(first.bootstrap, "kept", 1_000)
    os.kill(first.pid, signal.SIGKILL)
    await_true(lambda: broker.status(home).state is broker.BrokerState.CRASHED)

    ports = json.loads((home / "kafka.json").read_text("utf-8"))
    with closing(taken(ports["port"])), closing(taken(ports["controller_port"])):
        second = broker.start(options)
        assert second.started
        assert second.bootstrap != first.bootstrap
        assert consume(second.bootstrap, "kept", 1_000) == set(range(1_000))
    assert any("not stopped cleanly" in line for line in lines)
    with pytest.raises(errors.AlreadyRunningError, match=second.bootstrap.partition(":")[2]):
        broker.start(broker.BrokerOptions(directory=home, port=ports["port"]))

    with broker.running(options) as found:
        assert (found.bootstrap, found.started) == (second.bootstrap, False)
    assert broker.status(home).state is broker.BrokerState.RUNNING  # it was not ours to stop


@pytest.mark.kafka
def test_a_killed_broker_ends_the_transactions_whose_time_was_over_while_it_was_down(
    home: Path,
) -> None:
    first = broker.start(broker.BrokerOptions(directory=home))
    produce(first.bootstrap, "held", 10)
    abandoned = abandon_transactions(first.bootstrap, "held", 20)
    over = time.monotonic() + ABANDONED_SECONDS
    assert held_up(first.bootstrap, "held") == list(range(PARTITIONS))
    os.kill(first.pid, signal.SIGKILL)
    await_true(lambda: time.monotonic() > over)
    del abandoned

    with broker.running(broker.BrokerOptions(directory=home), owned=True) as second:
        await_true(lambda: not held_up(second.bootstrap, "held"))


def taken(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))  # with SO_REUSEADDR, as servers do


@pytest.mark.kafka
def test_an_interrupted_start_leaves_no_process(home: Path) -> None:
    starter = begin(home)
    await_true(lambda: broker.status(home).state is broker.BrokerState.STARTING)
    pid = broker.status(home).pid
    assert pid is not None
    starter.send_signal(signal.SIGINT)
    starter.communicate(timeout=60)

    assert process.started_of(pid) is None
    assert broker.status(home).state is broker.BrokerState.STOPPED


@pytest.mark.kafka
def test_a_start_that_lost_its_starter_is_taken_over(home: Path) -> None:
    starter = begin(home)
    await_true(lambda: broker.status(home).state is broker.BrokerState.STARTING)
    pid = broker.status(home).pid
    starter.kill()
    starter.communicate(timeout=60)

    with broker.running(broker.BrokerOptions(directory=home), owned=True) as found:
        assert (found.pid, found.started) == (pid, False)
        assert broker.status(home).state is broker.BrokerState.RUNNING
    assert broker.status(home).state is broker.BrokerState.STOPPED


@pytest.mark.kafka
def test_a_broker_that_dies_while_it_starts_shows_the_end_of_its_log(home: Path) -> None:
    data = home / "kafka" / "data"
    data.mkdir(parents=True)
    foreign = "version=1\nnode.id=7\ncluster.id=dGhpcyBpcyBub3Qgb3Vycw\n"
    (data / "meta.properties").write_text(foreign, "utf-8")

    with pytest.raises(errors.StartError, match=r"(?s)ended before it served.*node id.*7"):
        broker.start(broker.BrokerOptions(directory=home))
    assert broker.status(home).state is broker.BrokerState.STOPPED


def test_a_jvm_that_refuses_its_flags_is_quoted(home: Path) -> None:
    with pytest.raises(errors.StartError, match=r"(?s)could not format.*heap"):
        broker.start(broker.BrokerOptions(directory=home, heap_mb=1))


def test_a_taken_port_is_named_with_what_to_do(home: Path) -> None:
    with closing(taken(0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(errors.PortInUseError, match=rf"port {port} .*lsof -i :{port}") as told:
            broker.start(broker.BrokerOptions(directory=home, port=port))
    assert told.value.port == port
    assert broker.status(home).state is broker.BrokerState.STOPPED


def test_a_formatting_that_takes_too_long_is_ended_and_says_where_it_told_of_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "_FORMAT_TIMEOUT", timedelta(milliseconds=1))
    with pytest.raises(errors.StartTimeoutError, match=r"did not format .*\n?.*format\.log"):
        broker.start(broker.BrokerOptions(directory=home))
    assert broker.status(home).state is broker.BrokerState.STOPPED
