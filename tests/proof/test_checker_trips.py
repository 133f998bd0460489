"""Every key has a run that trips it and no other: a checker that cannot fail proves nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.console.proof.records import Committed, Kind, What
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

Story = Callable[[Run], object]


def never_stored(run: Run) -> None:
    run.job("a", stored=False)


def claimed_without_having_run(run: Run) -> None:
    run.job("a").succeeds(WORKER)


def dead_without_a_letter(run: Run) -> None:
    job = run.job("a").runs(WORKER, What.RAISE)
    job.told("dead", WORKER)
    run.ends_at(LANE, covering(1))


def buried_in_silence(run: Run) -> None:
    job = run.job("a").runs(WORKER, What.RAISE).dies(WORKER)
    run.transitions = [each for each in run.transitions if each.job_id != job.id]


def before_its_delay(run: Run) -> None:
    job = run.job("a", delay=5_000)
    job.written(LANE)
    job.runs(WORKER).succeeds(WORKER)


def before_its_retry_is_due(run: Run) -> None:
    job = run.job("a").runs(WORKER, What.RAISE).retries(WORKER, 5_000)
    job.offset = -1
    job.written(LANE)
    job.runs(WORKER).succeeds(WORKER)


def before_the_due_time_that_its_release_lost(run: Run) -> None:
    job = run.job("a").runs(WORKER, What.RAISE).retries(WORKER, 5_000)
    job.offset = -1
    job.written(LANE, due=0)
    job.runs(WORKER).succeeds(WORKER)


def before_a_delay_that_no_record_knows(run: Run) -> None:
    job = run.job("a", delay=5_000, stored=False)
    job.written(LANE, due=0)
    job.runs(WORKER).succeeds(WORKER)


def before_its_wait_in_place_is_over(run: Run) -> None:
    job = run.job("a", lane=TURNS, key="k", seq=0)
    job.runs(WORKER, What.RAISE).waits_in_place(WORKER, 5_000)
    job.runs(WORKER).succeeds(WORKER)


def before_its_snooze_in_place_is_over(run: Run) -> None:
    job = run.job("a", lane=TURNS, key="k", seq=0)
    job.runs(WORKER, What.SNOOZE).waits_in_place(WORKER, 5_000, error="")
    job.runs(WORKER).succeeds(WORKER)


def before_the_later_of_two_waits_in_place(run: Run) -> None:
    job = run.job("a", lane=TURNS, key="k", seq=0)
    job.runs(WORKER, What.SNOOZE).waits_in_place(WORKER, 100, error="")
    run.wait(100)
    job.runs(WORKER, What.RAISE).waits_in_place(WORKER, 5_000)
    job.runs(WORKER).succeeds(WORKER)


def succeeded_and_died(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    run.fault(WORKER, workers=(OTHER,))
    job.runs(WORKER).succeeds(WORKER).runs(WORKER, What.RAISE).dies(WORKER)
    run.faults = [replace(each, ended_ns=run.tick() * 1_000_000) for each in run.faults or ()]


def two_dead_letters(run: Run) -> None:
    run.job("a").runs(WORKER, What.RAISE).dies(WORKER)
    run.append(run.records[-1])


def again_without_a_fault(run: Run) -> None:
    run.job("a").runs(OTHER).runs(OTHER).succeeds(OTHER)


def again_after_a_fault_of_another(run: Run) -> None:
    job = run.job("a").starts(THIRD)
    run.fault(WORKER)
    job.runs(OTHER).succeeds(OTHER)


def again_although_it_was_committed(run: Run) -> None:
    job = run.job("a").runs(WORKER).succeeds(WORKER)
    run.fault(WORKER, committed={(LANE, 0): Committed(job.offset + 1)})
    job.runs(OTHER).succeeds(OTHER)


def again_although_it_was_in_the_map(run: Run) -> None:
    first, second = run.job("a"), run.job("b").runs(WORKER).succeeds(WORKER)
    first.starts(WORKER)
    at = first.offset
    run.fault(WORKER, committed={(LANE, 0): covering(at, range(at + 1, at + 2))})
    first.runs(OTHER).succeeds(OTHER)
    second.runs(OTHER).succeeds(OTHER)


def again_although_a_later_outcome_was_committed(run: Run) -> None:
    first, second = run.job("a").starts(WORKER), run.job("b").runs(WORKER).succeeds(WORKER)
    run.wait(1_100)
    first.ends(WORKER).succeeds(WORKER)
    run.fault(WORKER, committed={(LANE, 0): Committed(first.offset + 1)})
    second.runs(OTHER).succeeds(OTHER)


def again_before_the_fault(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    job.runs(OTHER).succeeds(OTHER)
    run.fault(WORKER, committed={(LANE, 0): Committed(1)})


def started_after_the_fault_was_over(run: Run) -> None:
    run.fault(WORKER, Kind.STOP_CONT)
    run.job("a").starts(WORKER).runs(OTHER).succeeds(OTHER)


def started_by_a_zombie(run: Run) -> None:
    job = run.job("a")
    run.fault(WORKER, Kind.STOP_CONT)
    job.runs(OTHER).succeeds(OTHER).runs(WORKER)


def started_by_a_zombie_before_its_owner_told(run: Run) -> None:
    job = run.job("a")
    run.fault(WORKER, Kind.STOP_CONT)
    job.starts(OTHER).starts(WORKER).ends(OTHER).succeeds(OTHER)


def two_started_by_a_zombie_as_it_wakes(run: Run) -> None:
    jobs = [run.job(name).runs(OTHER).succeeds(OTHER) for name in ("a", "b")]
    run.fault(WORKER, Kind.STOP_CONT, wakes=True)
    for job in jobs:
        job.runs(WORKER)


def started_by_a_zombie_that_has_been_awake(run: Run) -> None:
    job = run.job("a").runs(OTHER).succeeds(OTHER)
    run.fault(WORKER, Kind.STOP_CONT, wakes=True)
    run.wait(50)
    job.runs(WORKER)


def both_copies_of_a_release(run: Run) -> None:
    job = run.job("a", delay=100).released()
    double = job.copied(LANE)
    job.runs(THIRD).succeeds(THIRD)
    job.offset = double
    job.runs(THIRD).succeeds(THIRD)


def a_later_job_first(run: Run) -> None:
    first = run.job("a", lane=TURNS, key="k", seq=0)
    run.job("b", lane=TURNS, key="k", seq=1).runs(WORKER).succeeds(WORKER)
    first.runs(WORKER).succeeds(WORKER)


def a_later_job_during_the_former(run: Run) -> None:
    first = run.job("a", lane=TURNS, key="k", seq=0).starts(WORKER)
    second = run.job("b", lane=TURNS, key="k", seq=1).starts(WORKER)
    first.ends(WORKER).succeeds(WORKER)
    second.ends(WORKER).succeeds(WORKER)


def a_later_job_between_two_attempts(run: Run) -> None:
    first = run.job("a", lane=TURNS, key="k", seq=0)
    second = run.job("b", lane=TURNS, key="k", seq=1)
    first.runs(WORKER, What.RAISE).waits_in_place(WORKER, 100)
    run.wait(100)
    second.runs(WORKER).succeeds(WORKER)
    first.runs(WORKER).succeeds(WORKER)


def a_later_job_between_the_attempts_of_one_that_dies(run: Run) -> None:
    first = run.job("a", lane=TURNS, key="k", seq=0)
    second = run.job("b", lane=TURNS, key="k", seq=1)
    first.runs(WORKER, What.RAISE).waits_in_place(WORKER, 100)
    second.runs(WORKER).succeeds(WORKER)
    run.wait(100)
    first.runs(WORKER, What.RAISE).dies(WORKER)


def an_unconfirmed_job_out_of_turn(run: Run) -> None:
    unsure = run.job("a", lane=TURNS, key="k", seq=0, accepted=False)
    run.job("b", lane=TURNS, key="k", seq=1).runs(WORKER).succeeds(WORKER)
    unsure.runs(WORKER).succeeds(WORKER)


def an_undecided_job_out_of_turn(run: Run) -> None:
    unsure = run.job("a", lane=TURNS, key="k", seq=0, accepted=False)
    run.job("b", lane=TURNS, key="k", seq=1).runs(WORKER).succeeds(WORKER)
    unsure.starts(WORKER)


def a_key_on_two_partitions(run: Run) -> None:
    run.job("a", lane=TURNS, key="k", seq=0).runs(WORKER).succeeds(WORKER)
    run.job("b", lane=TURNS, key="k", seq=1, partition=1).runs(WORKER).succeeds(WORKER)


def stored_in_another_order_than_submitted(run: Run) -> None:
    run.job("b", lane=TURNS, key="k", seq=1).runs(WORKER).succeeds(WORKER)
    run.job("a", lane=TURNS, key="k", seq=0).runs(WORKER).succeeds(WORKER)


def a_retry_that_moved_while_letters_were_refused(run: Run) -> None:
    job = run.job("a").runs(WORKER, What.RAISE)
    run.fault(999, Kind.DLQ_FULL)
    job.runs(OTHER, What.RAISE).retries(OTHER).released().runs(OTHER).succeeds(OTHER)


def a_letter_again_in_the_worker_that_was_refused(run: Run) -> None:
    job = run.job("a").runs(WORKER, What.RAISE)
    run.fault(999, Kind.DLQ_FULL)
    job.runs(WORKER, What.RAISE).dies(WORKER)


def an_attempt_that_goes_back(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    run.fault(WORKER, lasts=20_000)
    run.now -= 10_000
    job.starts(OTHER, pid=77).retries(OTHER, 10).released().runs(OTHER).succeeds(OTHER)
    job.runs(THIRD, attempt=1)
    assert run.faults is not None
    run.faults[-1] = replace(run.faults[-1], workers=(WORKER, OTHER))


def an_attempt_that_no_record_has(run: Run) -> None:
    run.job("a").runs(WORKER, What.RAISE).runs(WORKER, attempt=2).succeeds(WORKER)


def an_attempt_left_out_in_place(run: Run) -> None:
    job = run.job("a", lane=TURNS, key="k", seq=0).runs(WORKER, What.RAISE)
    job.runs(WORKER, What.RAISE, attempt=3).dies(WORKER, "rejected")


def charged_although_it_ended_well(run: Run) -> None:
    run.job("a").runs(WORKER).retries(WORKER).released().runs(WORKER).succeeds(WORKER)


def charged_although_it_never_began(run: Run) -> None:
    job = run.job("a").retries(WORKER, error="ProcessDied").released()
    job.runs(WORKER).succeeds(WORKER)


def buried_although_it_ended_well(run: Run) -> None:
    run.job("a").runs(WORKER).dies(WORKER, "crash-loop")


def blamed_with_all_others(run: Run) -> None:
    jobs = [run.job(name).starts(WORKER) for name in "ab"]
    run.fault(WORKER)
    for job in jobs:
        job.retries(OTHER, error="ProcessDied").released().runs(OTHER).succeeds(OTHER)


def handed_over_by_two(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    run.fault(WORKER, Kind.STOP_CONT)
    job.runs(OTHER, What.RAISE).retries(OTHER)
    job.copied(SOON)
    job.released().runs(OTHER).succeeds(OTHER)


def told_long_after_it_was_lost(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    run.fault(WORKER, Kind.STOP_CONT)
    job.runs(OTHER).succeeds(OTHER).ends(WORKER)
    run.wait(6_100)
    job.succeeds(WORKER)


def told_late_while_another_was_stopped(run: Run) -> None:
    job = run.job("a").starts(THIRD)
    run.fault(THIRD, Kind.REBALANCE_STORM)
    run.fault(WORKER, Kind.STOP_CONT)
    job.runs(OTHER).succeeds(OTHER).ends(THIRD).succeeds(THIRD)


def told_after_a_rebalance(run: Run) -> None:
    job = run.job("a").starts(WORKER)
    run.fault(WORKER, Kind.REBALANCE_STORM)
    job.starts(OTHER).ends(WORKER).succeeds(WORKER).ends(OTHER).succeeds(OTHER)


def committed_before_its_outcome(run: Run) -> None:
    job = run.job("a").starts(THIRD)
    run.fault(WORKER, committed={(LANE, 0): Committed(job.offset + 1)})
    job.ends(THIRD).succeeds(THIRD)


def in_the_map_before_its_outcome(run: Run) -> None:
    first, second = run.job("a").starts(THIRD), run.job("b").starts(THIRD)
    at = first.offset
    run.fault(WORKER, committed={(LANE, 0): covering(at, range(at + 1, at + 2))})
    first.ends(THIRD).succeeds(THIRD)
    second.ends(THIRD).succeeds(THIRD)


def released_after_its_tier_was_committed(run: Run) -> None:
    job = run.job("a", delay=5_000)
    run.fault(WORKER, committed={(SOON, 0): Committed(1)})
    job.released().runs(THIRD).succeeds(THIRD)


def a_delayed_job_in_turn_before_its_outcome(run: Run) -> None:
    job = run.job("a", lane=TURNS, key="k", seq=0, delay=100).released().starts(THIRD)
    run.fault(WORKER, committed={(TURNS, 0): Committed(job.offset + 1)})
    job.ends(THIRD).succeeds(THIRD)


def not_committed_at_the_end(run: Run) -> None:
    job = run.job("a").runs(WORKER).succeeds(WORKER)
    run.ends_at(LANE, Committed(job.offset))


def a_tier_not_committed_at_the_end(run: Run) -> None:
    run.job("a", delay=10).released().runs(WORKER).succeeds(WORKER)
    run.ends_at(SOON, Committed(-1))


STORIES: dict[str, tuple[Story, ...]] = {
    "lost": (never_stored, buried_in_silence),
    "early": (
        before_its_delay, before_its_retry_is_due, before_the_due_time_that_its_release_lost,
        before_its_wait_in_place_is_over, before_its_snooze_in_place_is_over,
        before_a_delay_that_no_record_knows, before_the_later_of_two_waits_in_place,
    ),
    "duplicates": (succeeded_and_died, two_dead_letters),
    "reexecution_bound_violations": (
        again_without_a_fault, again_after_a_fault_of_another, again_although_it_was_committed,
        again_although_it_was_in_the_map, again_although_a_later_outcome_was_committed,
        again_before_the_fault,
        started_after_the_fault_was_over, started_by_a_zombie,
        started_by_a_zombie_before_its_owner_told, both_copies_of_a_release,
        two_started_by_a_zombie_as_it_wakes, started_by_a_zombie_that_has_been_awake,
        a_retry_that_moved_while_letters_were_refused,
        a_letter_again_in_the_worker_that_was_refused,
    ),
    "order_violations": (
        a_later_job_first, a_later_job_during_the_former, a_later_job_between_two_attempts,
        a_later_job_between_the_attempts_of_one_that_dies, an_unconfirmed_job_out_of_turn,
        an_undecided_job_out_of_turn,
        a_key_on_two_partitions, stored_in_another_order_than_submitted,
    ),
    "attempt_violations": (
        an_attempt_that_goes_back, an_attempt_that_no_record_has, an_attempt_left_out_in_place,
        charged_although_it_ended_well, charged_although_it_never_began,
        buried_although_it_ended_well, blamed_with_all_others,
    ),
    "fenced_violations": (
        handed_over_by_two, told_long_after_it_was_lost, told_after_a_rebalance,
        told_late_while_another_was_stopped,
    ),
    "premature_commits": (
        committed_before_its_outcome, in_the_map_before_its_outcome,
        released_after_its_tier_was_committed, a_delayed_job_in_turn_before_its_outcome,
    ),
    "stuck_partitions": (not_committed_at_the_end, a_tier_not_committed_at_the_end),
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "story"),
    [pytest.param(key, each, id=each.__name__) for key, all_ in STORIES.items() for each in all_],
)
def test_a_broken_promise_trips_its_key_and_no_other(key: str, story: Story) -> None:
    run = Run()
    story(run)
    clean(run)
    findings = run.check()
    assert tripped(findings) == {key: 1}, findings.examples
    assert not findings.ok
    assert findings.reasons == ()
    assert findings.examples[key][0].what


@pytest.mark.parametrize("story", [claimed_without_having_run, dead_without_a_letter])
def test_an_outcome_that_is_only_claimed_is_none(story: Story) -> None:
    run = Run()
    clean(run)
    story(run)
    assert run.check().lost == 1
    assert "it is said" in run.check().examples["lost"][0].what


def test_a_record_that_is_committed_at_the_end_without_an_outcome_is_lost_for_good() -> None:
    run = Run()
    clean(run)
    run.job("a")
    findings = run.check()
    assert tripped(findings) == {"lost": 1, "premature_commits": 1}
    assert findings.examples["premature_commits"][0].what.endswith("was stored never")


def test_an_attempt_that_starts_late_still_ran_from_its_own_record() -> None:
    run = Run()
    an_attempt_that_goes_back(run)
    assert run.check().reexecuted == 2


def test_an_example_says_all_that_is_known_of_the_job() -> None:
    run = Run()
    started_by_a_zombie(run)
    clean(run)
    (example,) = run.check().examples["reexecution_bound_violations"]
    assert "started what was no longer its own" in example.what
    assert example.job_id == "a"
    assert example.details["submission"]["lane"] == LANE
    assert len(example.details["executions"]) == 2
    assert example.details["records"][0]["offset"] == 0
    assert example.details["transitions"][0]["state"] == "succeeded"
