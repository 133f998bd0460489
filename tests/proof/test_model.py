"""A model of the whole engine: any interleaving of jobs, deaths, sleeps, delays and refusals.

`HEADRACE_MODEL_EXAMPLES` makes a long run of so many interleavings, another at each run; without
it they are the same ones every time. A failure is printed as the shortest sequence of steps.
"""

import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proof.model.jobs import Plan
from tests.proof.model.machine import HeadraceModel
from tests.proof.model.world import World

EXAMPLES = "HEADRACE_MODEL_EXAMPLES"
SHORT_RUN = 600
STEPS = 40
_ALLOWED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@pytest.mark.timeout(0)  # the long run takes as long as it is told to; shrinking, five minutes
def test_no_interleaving_loses_a_job_or_runs_it_early_or_out_of_turn_or_without_need() -> None:
    examples = os.environ.get(EXAMPLES)
    run_state_machine_as_test(
        HeadraceModel,
        settings=settings(
            max_examples=int(examples) if examples else SHORT_RUN,
            stateful_step_count=STEPS,
            derandomize=not examples,
            deadline=None,
            database=None,
            suppress_health_check=_ALLOWED,
        ),
    )


def test_a_worker_that_gets_its_partition_back_ends_its_own_transaction_first() -> None:
    world = World(ordered=False, width=1)
    try:
        world.submit(Plan.REJECT, "brief", "a", timedelta())
        worker = world.workers[0]
        worker.host.fault, worker.host.faults = "underway", 4
        while not world.transaction_of(worker):
            world.work(worker, reads=1_000, ends=1)
        world.lose_session(worker)
        for _ in range(3):
            world.work(worker, reads=1_000, ends=1)
        world.end()
    finally:
        world.surroundings.restore()
