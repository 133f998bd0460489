"""What a submission and a job cost, in bytecode instructions: the same on any machine.

Counted in a fresh process: what other tests have left behind would be counted too, when Python's
garbage collector clears it away. A bound that is too low after a change that is worth its price is
raised in that change, with the reason in its message; `python -m benchmarks.hot_path` says which
functions it went to.
"""

import json
import subprocess
import sys

import pytest

SUBMIT, DRAIN = 550, 2_510
"""Instructions of CPython 3.11 for each job, with some two percent of room."""
of_this_python = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="another Python has other instructions"
)


def counted() -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.hot_path", "--totals"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def cost() -> dict[str, float]:
    return counted()


@of_this_python
def test_submitting_a_job_takes_no_more_instructions_than_it_did(cost: dict[str, float]) -> None:
    assert cost["submit"] <= SUBMIT


@of_this_python
def test_draining_a_job_takes_no_more_instructions_than_it_did(cost: dict[str, float]) -> None:
    assert cost["drain"] <= DRAIN


def test_a_count_is_the_same_again(cost: dict[str, float]) -> None:
    assert counted() == pytest.approx(cost, rel=0.01)
