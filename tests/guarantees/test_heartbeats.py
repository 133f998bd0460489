"""Heartbeats of real worker processes.

What can go wrong: a worker that was killed looks alive, or one that is busy looks dead; what it ran is
still told of; a partition that nobody serves is not named; or a topic that refuses heartbeats stops
the jobs themselves.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.topology import TIERS
from headrace.processors.workers import SeenProcess, Standing, WorkerReader, WorkerView
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.stage import RunningProcess, Stage, wait_until

pytestmark = pytest.mark.kafka
OFTEN = {"HEADRACE_HEARTBEAT_INTERVAL": "500ms"}
COMMAND = ("worker", "--queue", "default", "--priority", "normal", "--concurrency", "4")


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path, partitions=4)
    yield stage
    stage.close()


@pytest.fixture
def reader(stage: Stage) -> Iterator[WorkerReader]:
    with WorkerReader(stage.pipeline, stage.kafka) as reader:
        wait_until("the new topics have leaders", lambda: can_be_read(reader))
        yield reader


def can_be_read(reader: WorkerReader) -> bool:
    try:
        reader.read()
    except KafkaUnavailableError:
        return False
    return True


def of_process(view: WorkerView, running: RunningProcess) -> SeenProcess | None:
    pid = running.process.pid
    return next((each for each in view.processes if each.beat.pid == pid), None)


def is_now(reader: WorkerReader, running: RunningProcess, standing: Standing) -> bool:
    found = of_process(reader.read(), running)
    return found is not None and found.standing is standing


def unserved(view: WorkerView, lane: str) -> list[int]:
    return [each.partition for each in view.unserved([lane])]


def test_a_killed_worker_is_gone_and_what_it_served_is_named(
    stage: Stage, reader: WorkerReader
) -> None:
    lane = stage.topic("default.normal")
    assert unserved(reader.read(), lane) == [0, 1, 2, 3]
    with stage.process(*COMMAND, **OFTEN) as first, stage.process(*COMMAND, **OFTEN) as second:
        wait_until("both own two each", lambda: _shares(reader.read()) == [2, 2])
        assert unserved(reader.read(), lane) == []
        lost = of_process(reader.read(), first)
        assert lost is not None
        # Stopped, not killed: its successor gets the partitions only when the session is over
        os.kill(second.process.pid, signal.SIGSTOP)
        first.kill()
        wait_until("the killed one is gone", lambda: is_now(reader, first, Standing.GONE))
        wait_until("so is the frozen one", lambda: is_now(reader, second, Standing.GONE))
        view = reader.read()
        assert unserved(view, lane) == [0, 1, 2, 3]
        owners = {each.partition: each.last for each in view.unserved([lane])}
        its = [partition for (_, partition), _ in lost.places]
        assert {owners[each].beat.name for each in its if owners[each]} == {lost.beat.name}  # type: ignore[union-attr]
        os.kill(second.process.pid, signal.SIGCONT)
        wait_until("the other one has all", lambda: _shares(reader.read()) == [4])
        assert second.terminate() == 0
        wait_until("it said goodbye", lambda: is_now(reader, second, Standing.STOPPED))


def _shares(view: WorkerView) -> list[int]:
    return [len(list(each.places)) for each in view.alive]


def test_it_is_told_what_runs_since_when_and_how_many_slots_are_taken(
    stage: Stage, reader: WorkerReader
) -> None:
    journal = stage.journal()
    with stage.process(*COMMAND, **OFTEN) as worker:
        ids = [stage.submit("gate", journal=journal.path, tag=str(n)) for n in range(6)]
        wait_until("four run", lambda: journal.count("start") == 4)

        def told() -> SeenProcess | None:
            found = of_process(reader.read(), worker)
            return found if found is not None and len(found.beat.running) == 4 else None

        found: SeenProcess = wait_until("the heartbeat names them", told)
        beat, view = found.beat, reader.read()
        assert [(each.total, each.used) for each in beat.slots] == [(4, 4)]
        assert beat.in_flight == 4
        running = {each.job_id: each for each in beat.running}
        assert running.keys() <= set(ids)
        job = beat.running[0]
        assert (job.job_type, job.attempt, job.lane) == ("gate", 1, stage.topic("default.normal"))
        assert job.started == min(each.started for each in beat.running)
        assert view.oldest_start(job.lane, job.partition) == job.started
        journal.gate.touch()
        for each in ids:
            stage.await_state(each, JobState.SUCCEEDED)
        wait_until("nothing runs", lambda: not reader.read().alive[0].beat.running)
        assert worker.terminate() == 0


def test_jobs_run_and_a_worker_stops_well_without_the_topic_for_heartbeats(stage: Stage) -> None:
    journal = stage.journal()
    topic = stage.pipeline.topology.workers
    with stage.process(*COMMAND, **OFTEN) as worker:
        worker.says("worker started")
        admin = AdminClient({"bootstrap.servers": stage.kafka.bootstrap_servers})
        admin.delete_topics([topic])[topic].result(10)
        worker.says("no heartbeats")
        done = stage.submit("work", journal=journal.path, tag="a")
        stage.await_state(done, JobState.SUCCEEDED)
        assert worker.terminate() == 0


def test_a_scheduler_tells_which_delay_tiers_it_reads(stage: Stage, reader: WorkerReader) -> None:
    with stage.scheduler():
        wait_until("it owns every tier", lambda: _shares(reader.read()) == [len(TIERS)])
        (found,) = reader.read().alive
        assert (found.beat.role, found.beat.slots) == ("scheduler", ())
        assert {topic.topic for topic in found.beat.served} >= {stage.topic("delay.soon")}
    wait_until("it said goodbye", lambda: not reader.read().alive)
