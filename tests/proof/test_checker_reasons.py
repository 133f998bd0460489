"""A run that could not have failed is no proof: what is missing is told, and it is not ok."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.console.proof.checker import MANY_KILLS, check
from headrace.console.proof.records import CALM, Committed, Kind, Submission
from tests.proof.builder import LANE, OTHER, WORKER, Run, clean, tripped


def no_jobs(run: Run) -> str:
    run.submitted.clear()
    run.events.clear()
    return "no job was accepted"


def no_executions(run: Run) -> str:
    run.events.clear()
    return "no execution was logged"


def no_faults(run: Run) -> str:
    run.job("b").runs(WORKER).succeeds(WORKER)
    run.events = [each for each in run.events if each.job_id == "b"]
    run.submitted = [each for each in run.submitted if each.job_id == "b"]
    run.faults = []
    return "no fault was made"


def no_file_of_faults(run: Run) -> str:
    run.faults = None
    return "it is not written down which faults were made"


def nothing_in_flight(run: Run) -> str:
    run.fault(OTHER, in_flight=0)
    return "fault 2 (kill) hit no job in flight"


def nobody_hit(run: Run) -> str:
    run.faults = [replace(each, workers=()) for each in run.faults or ()]
    return "fault 1 (kill) names no worker"


def nothing_known_of_commits(run: Run) -> str:
    run.fault(OTHER, Kind.KILL_GROUP, committed={})
    return "fault 2 (kill-group) does not say what was committed"


def nothing_on_the_topics(run: Run) -> str:
    run.records.clear()
    return "no job lay on any topic"


def no_transitions(run: Run) -> str:
    run.transitions.clear()
    return "no transition lay on the events topic"


def a_job_from_nowhere(run: Run) -> str:
    run.job("stranger").runs(WORKER).succeeds(WORKER)
    run.submitted = [each for each in run.submitted if each.job_id != "stranger"]
    return "1 jobs ran that are written down nowhere, the first stranger"


def a_log_without_its_begin(run: Run) -> str:
    run.job("a").ends(WORKER).runs(WORKER).succeeds(WORKER)
    return "1 executions ended that had not begun"


def broken_metadata(run: Run) -> str:
    run.ends_at(LANE, Committed(1, "H1garbage"))
    return "1 commits have metadata that nobody can read; proof.default.normal/0 at the end"


@pytest.mark.parametrize(
    "spoil",
    [
        no_jobs, no_executions, no_faults, no_file_of_faults, nothing_in_flight, nobody_hit,
        nothing_known_of_commits, nothing_on_the_topics, no_transitions, a_job_from_nowhere,
        a_log_without_its_begin, broken_metadata,
    ],
)  # fmt: skip
def test_a_run_with_a_hole_is_not_ok_and_says_why(spoil: Callable[[Run], str]) -> None:
    run = Run()
    clean(run)
    reason = spoil(run)
    findings = run.check()
    assert any(each.startswith(reason) for each in findings.reasons), findings.reasons
    assert not findings.ok


def test_many_kills_that_made_nothing_run_again_are_told() -> None:
    run = Run()
    run.job("a").runs(OTHER).succeeds(OTHER)
    for _ in range(MANY_KILLS):
        run.fault(WORKER)
    findings = run.check()
    assert tripped(findings) == {}
    assert findings.reasons == (f"{MANY_KILLS} kills, and no job ran again: they hit nothing",)


def test_a_lane_whose_commits_nobody_asked_for_is_told() -> None:
    run = Run(CALM)
    run.job("a").runs(OTHER).succeeds(OTHER)
    findings = check(run.log(), replace(run.left(), positions={}))
    assert findings.reasons == (f"nobody asked what is committed on {LANE}",)


def test_a_job_that_is_confirmed_and_unconfirmed_has_a_promise() -> None:
    run = Run()
    clean(run)
    (job,) = run.submitted
    run.unconfirmed.append(Submission(*job))
    assert run.check().accepted == 1
