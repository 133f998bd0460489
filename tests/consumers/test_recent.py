"""Doubles: what is dropped, and, more important, what must not be.

A record dropped wrongly is a job that never runs; one not recognised only runs twice.
"""

from headrace.consumers.recent import RecentJobs
from headrace.schemas.headers import JobHeaders

FIRST = JobHeaders("id", "work", "", created=1_000, lane="lane", dedup_key="k")
SECOND = FIRST._replace(created=2_000)


def test_a_second_submission_is_a_double() -> None:
    recent = RecentJobs()
    assert not recent.is_double(0, 10, FIRST)
    assert recent.is_double(0, 11, SECOND)
    assert recent.is_double(0, 12, SECOND._replace(step=1))  # it was delayed


def test_the_same_record_read_again_is_none() -> None:
    recent = RecentJobs()
    assert not recent.is_double(0, 10, FIRST)
    assert not recent.is_double(0, 10, FIRST)


def test_a_retry_is_no_double_though_only_the_dropped_submission_is_remembered() -> None:
    """The first one lies further back than a new owner reads."""
    recent = RecentJobs()
    recent.note(0, 500, SECOND, now=3_000)
    assert not recent.is_double(0, 600, FIRST._replace(step=2, attempt=2))
    assert not recent.is_double(0, 601, FIRST._replace(step=4))  # snoozed


def test_a_job_without_a_key_is_a_double_only_when_it_was_written_twice() -> None:
    recent = RecentJobs()
    plain = FIRST._replace(dedup_key=None)
    assert not recent.is_double(0, 10, plain)
    assert not recent.is_double(0, 11, plain)
    assert not recent.is_double(0, 12, plain._replace(step=2))
    assert recent.is_double(0, 13, plain._replace(step=2))


def test_a_replay_is_another_life() -> None:
    recent = RecentJobs()
    assert not recent.is_double(0, 10, FIRST)
    assert not recent.is_double(0, 11, FIRST._replace(generation=1))


def test_what_expired_before_it_was_read_back_is_not_remembered() -> None:
    recent = RecentJobs()
    recent.note(0, 10, FIRST._replace(expires=1_500), now=3_000)
    assert not recent.is_double(0, 11, SECOND)


def test_partitions_are_told_apart_and_forgotten() -> None:
    recent = RecentJobs()
    assert not recent.is_double(0, 10, FIRST)
    assert not recent.is_double(1, 11, SECOND)
    recent.forget(0)
    assert not recent.is_double(0, 12, SECOND)


def test_the_window_is_bounded() -> None:
    recent = RecentJobs(window=10)
    for number in range(100):
        assert not recent.is_double(0, number, FIRST._replace(job_id=str(number)))
    assert not recent.is_double(0, 100, SECOND._replace(job_id="0"))
    assert recent.is_double(0, 101, SECOND._replace(job_id="99"))
