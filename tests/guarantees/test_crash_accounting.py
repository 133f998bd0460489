"""Jobs that kill what runs them, and jobs that only stood beside.

What can go wrong: a job that kills its worker does so for ever, and the partition never moves; it
is never charged, because the worker that should charge it is dead; the wrong job is charged; the
others of its partition wait, or are run to death beside it. Workers here run under the supervisor
(`--processes 2`), which starts a killed one again; it owns its partitions when the session of the
dead one has ended, six seconds on the embedded broker, which is most of what these tests take.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from headrace.schemas.states import DeadReason, JobState
from headrace.schemas.transitions import Transition
from tests.guarantees.conftest import new_stage
from tests.support import killers
from tests.support.jobs import Journal
from tests.support.stage import RunningProcess, Stage, wait_until

pytestmark = pytest.mark.kafka
LONG = 90.0


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path, module=killers)
    yield stage
    stage.close()


@contextmanager
def supervised(stage: Stage, concurrency: int = 4) -> Iterator[RunningProcess]:
    """A worker of the default queue that is started again whenever it dies, and a scheduler."""
    arguments = ("--queue", "default", "--concurrency", str(concurrency), "--processes", "2")
    with stage.scheduler(), stage.process("worker", *arguments) as worker:
        yield worker
        worker.terminate()


def killer(stage: Stage, journal: Journal, how: str, name: str = "kill", tag: str = "") -> str:
    options = {"priority": "high"} if tag == "high" else None
    return stage.submit(name, options, journal=journal.path, tag=tag or how, how=how)


def innocents(stage: Stage, journal: Journal, count: int, seconds: float = 0.0) -> list[str]:
    submit = stage.submit
    return [
        submit("innocent", journal=journal.path, tag=str(number), seconds=seconds)
        for number in range(count)
    ]


def await_all_succeeded(stage: Stage, job_ids: list[str]) -> None:
    for job_id in job_ids:
        found = stage.await_state(job_id, JobState.SUCCEEDED, JobState.DEAD, patience=LONG)
        assert found.state == JobState.SUCCEEDED, found
        assert found.attempt == 1, f"an innocent job was charged: {found}"


def await_crash_loop(stage: Stage, job_id: str, how: str) -> Transition:
    dead = stage.await_state(job_id, JobState.DEAD, patience=LONG)
    assert (dead.reason, dead.attempt) == (DeadReason.CRASH_LOOP, 3)
    assert dead.error_message == f"process died: {how}"
    attempts = [each.attempt for each in stage.of(job_id) if each.state == JobState.RETRYING]
    assert attempts == [1, 2]
    return dead


@pytest.mark.parametrize(
    ("name", "how"),
    [("kill.async", "SIGSEGV"), ("kill", "exit code 0"), ("kill", "group")],
)
def test_a_job_that_kills_its_process_costs_two_workers_and_ends_as_a_crash_loop(
    stage: Stage, name: str, how: str
) -> None:
    journal, beside = stage.journal(), stage.journal()
    job_id = killer(stage, journal, how, name)  # the first record of the partition
    others = innocents(stage, beside, 30)
    with supervised(stage):
        await_crash_loop(stage, job_id, "SIGKILL" if how == "group" else how)
        await_all_succeeded(stage, others)
        stage.drained("default.normal")
    starts = Counter(event.attempt for event in journal.events("start"))
    assert starts[1] <= 3  # two with their workers, one charged
    assert (starts[2], starts[3]) == (1, 1)
    (letter,) = stage.dead()
    assert letter.key() == job_id.encode()


def test_several_killers_on_several_lanes_are_each_blamed_exactly(stage: Stage) -> None:
    journals = {tag: stage.journal() for tag in ("high", "one", "two")}
    beside = stage.journal()
    first = innocents(stage, beside, 10)
    job_ids = [killer(stage, journal, "SIGKILL", tag=tag) for tag, journal in journals.items()]
    others = first + innocents(stage, beside, 10)
    with supervised(stage):
        for job_id in job_ids:
            await_crash_loop(stage, job_id, "SIGKILL")
        await_all_succeeded(stage, others)
    starts = [len(journal.events("start")) for journal in journals.values()]
    assert all(3 <= count <= 5 for count in starts)


def test_three_node_losses_during_one_long_job_charge_nobody(stage: Stage) -> None:
    journal, beside = stage.journal(), stage.journal()
    long = stage.submit("patient", journal=journal.path, tag="long")
    others = innocents(stage, beside, 10)
    with stage.scheduler():
        for losses in range(1, 4):
            with own_worker(stage) as worker:
                await_starts(journal, losses)
                worker.kill()
        with own_worker(stage) as worker:
            await_starts(journal, 4)
            journal.gate.touch()
            await_all_succeeded(stage, [long, *others])
            assert worker.terminate() == 0


@pytest.mark.long
def test_a_job_that_takes_its_worker_along_when_it_runs_alone_ends_as_a_crash_loop(
    stage: Stage,
) -> None:
    """Whoever kills child and worker at once leaves no witness but the note on the broker."""
    journal, beside = stage.journal(), stage.journal()
    job_id = killer(stage, journal, "parent")
    others = innocents(stage, beside, 5)
    with stage.scheduler(), ExitStack() as stack:
        while stage.state(job_id) != JobState.DEAD:
            assert journal.count("start") < 12
            await_end(stage, stack.enter_context(own_worker(stage)), job_id)
        await_all_succeeded(stage, others)
    found = stage.of(job_id)[-1]
    assert (found.reason, found.attempt) == (DeadReason.CRASH_LOOP, 3)
    assert found.error_type == "WorkerDied"


def await_starts(journal: Journal, count: int) -> None:
    wait_until(f"it was started {count} times", lambda: journal.count("start") >= count, LONG)


def await_end(stage: Stage, worker: RunningProcess, job_id: str) -> None:
    """Wait until the worker died, or the job is dead."""

    def ended() -> bool:
        return worker.process.poll() is not None or stage.state(job_id) == JobState.DEAD

    wait_until("the worker died, or the job did", ended, LONG)


@contextmanager
def own_worker(stage: Stage) -> Iterator[RunningProcess]:
    with stage.process("worker", "--queue", "default", "--concurrency", "4") as worker:
        yield worker


def test_an_owner_that_sleeps_through_its_session_is_no_death(stage: Stage) -> None:
    journal = stage.journal()
    with stage.scheduler(), own_worker(stage) as sleeper:
        long = stage.submit("patient", journal=journal.path, tag="long")
        wait_until("it runs", lambda: journal.count("start") >= 1)
        os.kill(sleeper.process.pid, signal.SIGSTOP)
        with own_worker(stage) as other:
            wait_until("another has it", lambda: journal.count("start") >= 2, LONG)
            os.kill(sleeper.process.pid, signal.SIGCONT)
            journal.gate.touch()
            await_all_succeeded(stage, [long])
            assert other.terminate() == 0
        assert sleeper.terminate() == 0
    assert stage.final_states()[long] == [JobState.SUCCEEDED]


def test_a_worker_that_wakes_starts_nothing_that_others_have_by_now(stage: Stage) -> None:
    journal = stage.journal()
    with stage.scheduler(), own_worker(stage) as sleeper:
        job_ids = innocents(stage, journal, 300, seconds=0.1)
        wait_until("it is in the middle", lambda: journal.count("start") >= 40)
        pid = sleeper.process.pid
        os.kill(pid, signal.SIGSTOP)
        before = sum(event.pid == pid for event in journal.events("start"))
        with own_worker(stage):
            wait_until("another has them", lambda: journal.count("start") >= before + 40, LONG)
            os.kill(pid, signal.SIGCONT)
            await_all_succeeded(stage, job_ids)
            stage.drained("default.normal")
    after = sum(event.pid == pid for event in journal.events("start"))
    assert after - before <= 4  # what had a slot when it fell asleep, and no more
