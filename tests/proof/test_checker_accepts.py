"""What an honest engine may do under faults: the checker must not complain of any of it."""

from dataclasses import replace

import pytest

from headrace.console.proof.joined import MS
from headrace.console.proof.records import CALM, Committed, Kind, What
from tests.proof.builder import (
    LANE,
    OTHER,
    SOON,
    THIRD,
    TURNS,
    WORKER,
    Run,
    clean,
    covering,
    tripped,
)

NOBODY = 999
"""A pid of no worker."""


@pytest.fixture
def run() -> Run:
    return Run()


def accepted(run: Run) -> None:
    findings = run.check()
    assert tripped(findings) == {}, findings.examples
    assert findings.reasons == ()
    assert findings.ok


def test_a_job_that_a_kill_cut_off_may_run_again(run: Run) -> None:
    clean(run)
    findings = run.check()
    assert findings.ok, (findings.examples, findings.reasons)
    assert (findings.accepted, findings.executions, findings.reexecuted) == (1, 2, 1)
    assert findings.reexecuted_by_kind == {"kill": 1}
    assert findings.faults == {"kill": 1}
    assert findings.outcomes == {"succeeded": 1}


def test_a_job_that_had_succeeded_right_before_a_kill_may_succeed_twice(run: Run) -> None:
    job = run.job("a").runs(WORKER).succeeds(WORKER)
    run.fault(WORKER)
    job.runs(OTHER).succeeds(OTHER)
    accepted(run)


def test_retries_delays_and_snoozes_are_no_re_executions(run: Run) -> None:
    clean(run)
    job = run.job("a", delay=500).released()
    job.runs(WORKER, What.SNOOZE).snoozes(WORKER).released()
    job.runs(WORKER, What.RAISE).retries(WORKER).released()
    job.runs(OTHER).succeeds(OTHER)
    accepted(run)
    assert run.check().reexecuted == 1  # the clean job's
    assert run.check().shares.retried == 0.5


def test_a_job_that_fails_for_good_has_one_dead_letter(run: Run) -> None:
    clean(run)
    run.job("a").runs(WORKER, What.RAISE).dies(WORKER)
    accepted(run)
    assert run.check().outcomes == {"dead": 1, "succeeded": 1}


def test_a_release_that_was_written_twice_and_dropped_once_is_fine(run: Run) -> None:
    clean(run)
    job = run.job("a", delay=100).released()
    double = job.copied(LANE)
    job.runs(WORKER).succeeds(WORKER)
    job.offset = double
    job.told("duplicate", WORKER)
    accepted(run)


def test_a_record_above_the_offset_but_not_in_the_map_may_run_again(run: Run) -> None:
    first, second = run.job("a"), run.job("b")
    first.starts(WORKER)
    second.runs(WORKER).succeeds(WORKER)
    run.fault(WORKER, committed={(LANE, 0): covering(0, range(1, 2))})
    first.runs(OTHER).succeeds(OTHER)
    accepted(run)


@pytest.mark.parametrize("apart", [900, 5_000])
def test_what_is_finished_may_be_committed_in_any_order_within_a_second(
    run: Run, apart: int
) -> None:
    first, second = run.job("a").starts(WORKER), run.job("b").runs(WORKER).succeeds(WORKER)
    if apart > 1_000:  # unless something happened in between that a worker survives
        run.fault(WORKER, Kind.NETWORK_CUT, lasts=500)
    run.wait(apart)
    first.ends(WORKER).succeeds(WORKER)
    run.fault(WORKER, committed={(LANE, 0): Committed(first.offset + 1)})
    second.runs(OTHER).succeeds(OTHER)
    accepted(run)


def test_what_another_worker_has_committed_says_nothing_of_ones_own(run: Run) -> None:
    first, second = run.job("a").starts(THIRD), run.job("b").runs(WORKER).succeeds(WORKER)
    run.wait(5_000)
    first.ends(THIRD).succeeds(THIRD)
    run.fault(WORKER, committed={(LANE, 0): Committed(first.offset + 1)})
    second.runs(OTHER).succeeds(OTHER)
    accepted(run)


def test_a_stopped_worker_may_tell_late_what_it_finished(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    run.fault(WORKER, Kind.STOP_CONT, lasts=8_000)
    # the new owner has run it meanwhile: tell that story at the right time
    run.now -= 4_000
    job.runs(OTHER).succeeds(OTHER)
    run.now += 5_000
    job.ends(WORKER).succeeds(WORKER)
    accepted(run)
    assert run.check().late_outcomes == 1


def test_a_worker_may_begin_as_it_wakes_what_it_was_about_to_begin(run: Run) -> None:
    """One job for each lane: nobody can close the instant between a look and a handler's first line."""
    job = run.job("a").runs(OTHER).succeeds(OTHER)
    run.fault(WORKER, Kind.STOP_CONT, lasts=8_000, wakes=True)
    job.runs(WORKER)
    accepted(run)


def test_an_attempt_charged_after_its_process_died_is_counted(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    run.fault(WORKER)
    job.starts(OTHER, pid=2001).retries(OTHER, error="ProcessDied").released()
    job.runs(OTHER).succeeds(OTHER)
    accepted(run)


def test_jobs_of_one_key_run_in_turn_with_retries_in_place(run: Run) -> None:
    clean(run)
    first = run.job("a", lane=TURNS, key="k", seq=0)
    second = run.job("b", lane=TURNS, key="k", seq=1)
    first.runs(WORKER, What.RAISE).waits_in_place(WORKER, 300)
    run.wait(300)
    first.runs(WORKER, What.SNOOZE).waits_in_place(WORKER, 200, error="")
    run.wait(200)
    first.runs(WORKER).succeeds(WORKER)
    second.runs(WORKER).succeeds(WORKER)
    accepted(run)
    assert run.check().reexecuted == 1  # the clean job's


def test_a_job_that_dies_after_waits_in_place_is_many_steps_on(run: Run) -> None:
    clean(run)
    job = run.job("a", lane=TURNS, key="k", seq=0)
    job.runs(WORKER, What.RAISE).waits_in_place(WORKER, 100)
    run.wait(100)
    job.runs(WORKER, What.RAISE).dies(WORKER)
    accepted(run)


def test_a_repeated_attempt_in_place_counts_its_due_time_from_either_failure(run: Run) -> None:
    job = run.job("a", lane=TURNS, key="k", seq=0)
    job.runs(WORKER, What.RAISE).waits_in_place(WORKER, 500)
    run.fault(WORKER, committed={(TURNS, 0): Committed(0)})
    job.attempt = 1
    job.runs(OTHER, What.RAISE).waits_in_place(OTHER, 800)
    run.wait(800)
    job.runs(OTHER).succeeds(OTHER)
    accepted(run)


def test_a_wait_in_place_that_a_stopped_worker_told_late_binds_nobody(run: Run) -> None:
    job = run.job("a", lane=TURNS, key="k", seq=0).starts(WORKER)
    run.fault(WORKER, Kind.STOP_CONT, committed={(TURNS, 0): Committed(0)})
    job.runs(OTHER, What.RAISE).waits_in_place(OTHER, 100)
    job.ends(WORKER, What.RAISE, attempt=1)
    job.attempt = 1
    job.waits_in_place(WORKER, 5_000)
    run.wait(100)
    job.runs(OTHER).succeeds(OTHER)
    accepted(run)


def test_a_key_is_run_again_from_what_was_not_committed(run: Run) -> None:
    first = run.job("a", lane=TURNS, key="k", seq=0).runs(WORKER)
    second = run.job("b", lane=TURNS, key="k", seq=1).starts(WORKER)
    run.fault(WORKER, committed={(TURNS, 0): Committed(0)})
    first.runs(OTHER).succeeds(OTHER)
    second.runs(OTHER).succeeds(OTHER)
    accepted(run)


def test_delayed_jobs_of_one_key_run_in_the_order_in_which_they_reached_the_lane(run: Run) -> None:
    clean(run)
    late = run.job("a", lane=TURNS, key="k", seq=0, delay=1_000)
    at_once = run.job("b", lane=TURNS, key="k", seq=1)
    at_once.runs(WORKER).succeeds(WORKER)
    late.released().runs(WORKER).succeeds(WORKER)
    accepted(run)


def test_a_key_goes_on_after_a_job_that_died_or_that_never_came(run: Run) -> None:
    clean(run)
    run.job("gone", lane=TURNS, key="k", seq=0, accepted=False, stored=False)
    run.job("dead", lane=TURNS, key="k", seq=1).runs(WORKER, What.RAISE).dies(WORKER)
    run.job("b", lane=TURNS, key="k", seq=2).runs(WORKER).succeeds(WORKER)
    accepted(run)


def test_jobs_without_a_promise_may_do_anything_but_break_the_order(run: Run) -> None:
    clean(run)
    run.job("unsure", accepted=False).runs(WORKER).runs(WORKER).starts(OTHER, attempt=3)
    accepted(run)
    assert run.check().accepted == 1


def test_other_keys_and_other_queues_need_not_wait(run: Run) -> None:
    clean(run)
    first = run.job("a", lane=TURNS, key="k", seq=0).starts(WORKER)
    run.job("b", lane=TURNS, key="other", seq=0).runs(WORKER).succeeds(WORKER)
    second = run.job("c", key="k", seq=0)
    third = run.job("d", key="k", seq=1)
    third.runs(WORKER).succeeds(WORKER)
    second.runs(WORKER).succeeds(WORKER)
    first.ends(WORKER).succeeds(WORKER)
    accepted(run)


def test_a_commit_may_follow_an_outcome_at_once(run: Run) -> None:
    clean(run)
    job = run.job("a", delay=50).released().runs(THIRD).succeeds(THIRD)
    run.fault(WORKER, committed={(LANE, 0): Committed(job.offset + 1), (SOON, 0): Committed(1)})
    accepted(run)


def test_a_calm_run_needs_no_faults() -> None:
    run = Run(CALM)
    run.job("a").runs(WORKER).succeeds(WORKER)
    accepted(run)


def test_lateness_is_told_of_jobs_that_had_to_wait(run: Run) -> None:
    clean(run)
    for number in range(10):
        job = run.job(f"a{number}", delay=100).released()
        run.wait(number)
        job.runs(WORKER).succeeds(WORKER)
    late = run.check().lateness_ms
    assert (late.p50, late.max) == (7.0, 11.0)


def test_a_broker_whose_clock_is_ahead_accuses_nobody(run: Run) -> None:
    clean(run)
    job = run.job("a").runs(WORKER, What.SNOOZE).snoozes(WORKER).released()
    job.runs(THIRD).succeeds(THIRD)
    run.fault(WORKER, committed={(LANE, 0): Committed(job.offset + 1)})
    run.records = [each._replace(appended=each.appended + 300) for each in run.records]
    run.transitions = [each._replace(appended=each.appended + 300) for each in run.transitions]
    accepted(run)


def test_a_leaver_whose_dead_letter_was_refused_explains_what_ran_again(run: Run) -> None:
    """The storm is known by what was committed at its end, when the job was done at last."""
    clean(run)
    job = run.job("a").runs(WORKER, What.RAISE)
    run.fault(NOBODY, Kind.DLQ_FULL)
    storm = run.fault(WORKER, Kind.REBALANCE_STORM)
    job.runs(OTHER, What.RAISE).dies(OTHER)
    assert run.faults is not None
    run.faults[-1] = replace(
        storm,
        ended_ns=run.tick() * MS,
        snapshot_ns=run.now * MS,
        committed={(LANE, 0): Committed(job.offset + 1)},
    )
    accepted(run)


def test_a_letter_that_was_refused_when_its_partition_moved_explains_what_ran_again(
    run: Run,
) -> None:
    """Somebody joined meanwhile; the letter is the other worker's."""
    clean(run)
    job = run.job("a").runs(WORKER, What.RAISE)
    run.fault(NOBODY, Kind.DLQ_FULL)
    job.runs(OTHER, What.RAISE).dies(OTHER)
    accepted(run)
