"""The scaler on a real Kafka, asked by a real gRPC client as KEDA asks it.

What can go wrong: a number that leaves jobs out scales a lane down under them; a zero told while Kafka
is away ends every pod; a lane that sleeps when its delayed job falls due starts it too late.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from headrace.consumers.clock import now_ms
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.keda import Keda
from tests.support.own_broker import ask, own_broker
from tests.support.stage import RunningProcess, Stage, wait_until

pytestmark = pytest.mark.kafka


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def scaler(stage: Stage, **settings: str) -> Iterator[tuple[Keda, RunningProcess]]:
    """`headrace scaler` as a process, that has looked once."""
    address = f"127.0.0.1:{free_port()}"
    environment = {
        "HEADRACE_SCALER_ADDRESS": address,
        "HEADRACE_SCALER_INTERVAL": "200ms",
        "HEADRACE_SCALER_STALE_AFTER": "20s",
        **settings,
    }
    with stage.process("scaler", **environment) as process:
        wait_until("it is ready", lambda: ask(process, "/health/ready")[0] == 200)
        with Keda(address) as keda:
            yield keda, process


def submit_gate(stage: Stage, journal: Journal, tag: str, **options: Any) -> str:
    """A job that runs until the journal's gate is there."""
    return stage.submit("gate", options, journal=journal.path, tag=tag)


def trigger(stage: Stage, lane: str = "default.normal", **more: str) -> dict[str, str]:
    return {"pipeline": stage.pipeline.name, "lane": stage.topic(lane), "target": "10", **more}


def test_the_backlog_of_a_lane_is_told_exactly_through_waiting_running_and_falling_due(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_HEARTBEAT_INTERVAL", "300ms")
    stage = new_stage(kafka, tmp_path)
    journal = stage.journal()
    normal, high = trigger(stage), trigger(stage, "default.high")
    with scaler(stage) as (keda, process):
        assert keda.spec(**normal) == (f"{stage.pipeline.name}-default-normal", 10)
        assert (keda.jobs(**normal), keda.is_active(**normal)) == (0, False)
        gated = [submit_gate(stage, journal, str(number)) for number in range(5)]
        wait_until("five are ready", lambda: keda.jobs(**normal) == 5)
        assert keda.jobs(**high) == 0
        submit_gate(stage, journal, "later", delay=timedelta(minutes=4))
        wait_until("six with it", lambda: keda.jobs(**normal, startTime="300") == 6)
        assert keda.jobs(**normal) == 5
        with stage.worker(concurrency=2):
            wait_until("two have started", lambda: journal.count("start") == 2)
            wait_until("three are ready still", lambda: keda.jobs(**normal) == 3)
            journal.gate.touch()
            for job_id in gated:
                stage.await_state(job_id, JobState.SUCCEEDED)
            wait_until("none is ready", lambda: keda.jobs(**normal) == 0)
            wait_until("none runs", lambda: not keda.is_active(**normal))
        text = ask(process, "/metrics")[1]
        assert keda.health() == "SERVING"
        assert process.terminate() == 0
    assert f'headrace_scaler_ready_jobs{{lane="{normal["lane"]}"}} 0.0' in text
    assert 'headrace_scaler_answers_total{call="GetMetricSpec",code="OK"} 1.0' in text
    stage.close()


def test_a_lane_that_sleeps_is_woken_before_its_delayed_job_is_due_and_may_sleep_again_after_it(
    kafka: str, tmp_path: Path
) -> None:
    stage = new_stage(kafka, tmp_path)
    journal = stage.journal()
    journal.gate.touch()
    start_time = 5_000
    with scaler(stage) as (keda, _), keda.stream(**trigger(stage, startTime="5")) as told:
        told.await_words(False)
        delay = timedelta(seconds=9)
        job_id = submit_gate(stage, journal, "later", delay=delay)
        due = now_ms() + round(delay.total_seconds() * 1000)
        told.await_words(False, True)
        woken = now_ms()
        assert due - start_time - 1_000 <= woken < due
        with stage.scheduler(), stage.worker():
            stage.await_state(job_id, JobState.SUCCEEDED)
            told.await_words(False, True, False)
    stage.close()


def test_while_kafka_is_away_the_scaler_says_so_with_the_reason_and_never_zero(
    kafka: str, tmp_path: Path
) -> None:
    with own_broker(tmp_path / "kafka") as broker:
        stage = new_stage(broker.bootstrap, tmp_path)
        journal, normal = stage.journal(), trigger(stage)
        submit_gate(stage, journal, "first")
        with (
            scaler(stage, HEADRACE_SCALER_STALE_AFTER="1s") as (keda, process),
            keda.stream(**normal) as told,
        ):
            wait_until("it is ready", lambda: keda.jobs(**normal) == 1)
            told.await_words(True)
            broker.kill()

            def unknown() -> bool:
                try:
                    keda.jobs(**normal)
                except grpc.RpcError:
                    return True
                return False

            wait_until("it does not know", unknown)
            code, reason = keda.refused(**normal)
            assert code is grpc.StatusCode.UNAVAILABLE
            assert reason.startswith(f"the backlog of {normal['lane']} is not known: ")
            assert "Kafka" in reason or broker.bootstrap in reason
            wait_until("health says so", lambda: ask(process, "/health/ready")[0] == 503)
            assert told.words == [True]
            assert told.end is None
        stage.close()
