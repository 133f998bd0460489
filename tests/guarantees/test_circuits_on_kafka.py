"""A job type that fails is left alone and comes back by itself.

What can go wrong: a circuit that never opens, or that workers do not see; jobs that use up attempts
while they wait, or are lost; other types that wait as well; a circuit that never closes.
"""

from pathlib import Path

import pytest

from headrace.consumers.clock import now_ms
from headrace.pipeline.circuits import circuits_in
from headrace.pipeline.compacted import read_latest
from headrace.schemas.states import JobState
from tests.support import circuits
from tests.support.stage import Stage, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]
PATIENCE = 120.0


def state(stage: Stage) -> str:

    control = stage.pipeline.topology.control
    found = circuits_in(read_latest(stage.kafka, [control])[control]).get("call")
    return "closed" if found is None else found.state(now_ms())


def test_a_job_type_that_fails_waits_without_attempts_until_trial_jobs_end_well(
    kafka: str, unique_name: str, tmp_path: Path
) -> None:
    stage = Stage.build(unique_name, kafka, tmp_path, module=circuits)
    journal = stage.journal()
    environment = {
        "HEADRACE_STATS_DIR": str(tmp_path / "streams"),
        "HEADRACE_STATS_INTERVAL": "500ms",
    }

    def submit(name: str, tag: str) -> str:
        return stage.submit(name, journal=journal.path, tag=tag)

    with (
        stage.worker(["default.normal"]) as worker,
        stage.scheduler(),
        stage.process("processors statistics", **environment) as process,
    ):
        failed = [submit("call", f"bad{number}") for number in range(6)]
        for job_id in failed:
            stage.await_state(job_id, JobState.DEAD, patience=PATIENCE)
        wait_until("the circuit opens", lambda: worker.orders.circuits.some, PATIENCE)
        waiting = [submit("call", f"good{number}") for number in range(4)]
        stage.await_state(submit("other", "other"), JobState.SUCCEEDED, patience=PATIENCE)
        back = stage.await_state(waiting[0], JobState.RETRYING, patience=PATIENCE)
        assert (back.attempt, back.error_type) == (1, None)
        journal.gate.touch()
        for job_id in waiting:
            done = stage.await_state(job_id, JobState.SUCCEEDED, patience=PATIENCE)
            assert done.attempt == 1
        assert journal.count("start") == len(failed) + len(waiting) + 1
        wait_until("the circuit closes", lambda: not worker.orders.circuits.some, PATIENCE)
        assert state(stage) == "closed"
        assert process.terminate() == 0
    stage.close()
