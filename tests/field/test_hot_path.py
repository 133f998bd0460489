"""What a submission and a job cost, in bytecode instructions: the same on any machine.

A bound that is too low after a change that is worth its price is raised in that change, with the
reason in its message; `python -m benchmarks.hot_path` says which functions it went to.
"""

import sys

import pytest

from benchmarks.hot_path.paths import drained, submitted

SUBMIT, DRAIN = 805, 2_480
"""Instructions of CPython 3.11 for each job, with some two percent of room."""
JOBS = 200
of_this_python = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="another Python has other instructions"
)


@of_this_python
def test_submitting_a_job_takes_no_more_instructions_than_it_did() -> None:
    assert submitted(JOBS).total() / JOBS <= SUBMIT


@of_this_python
def test_draining_a_job_takes_no_more_instructions_than_it_did() -> None:
    assert drained(JOBS).total() / JOBS <= DRAIN


def test_a_count_is_the_same_again() -> None:
    assert submitted(100).total() == pytest.approx(submitted(100).total(), rel=0.01)
    assert drained(100).total() == pytest.approx(drained(100).total(), rel=0.01)
