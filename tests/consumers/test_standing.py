"""Who died, how often, and with whom: what one owner writes and the next one concludes."""

from dataclasses import replace

import pytest

from headrace.consumers.commit_metadata import CommitMetadata, State
from headrace.consumers.ordering.parked import ParkedKey
from headrace.consumers.standing import Standing, judged

END = 1_000


def open_at(offset: int, window: int, streak: int = 0) -> CommitMetadata:
    """What an owner `a` that is at work has committed."""
    standing = Standing("a", opened=True, streak=streak, window_end=offset + window)
    standing.suspects_until = standing.window_end if streak else 0
    return standing.at(offset)


def test_an_owner_that_left_in_order_has_not_died() -> None:
    left = Standing("a", opened=True, window_end=50)
    left.opened = False
    found = judged(left.at(10), 10, END, "b")
    assert (found.streak, found.suspects_until, found.deaths) == (0, 0, {})


def test_each_owner_that_left_the_window_open_adds_to_the_streak() -> None:
    known = open_at(10, 40)
    for deaths in range(1, 5):
        standing = judged(known, 10, END, f"owner-{deaths}")
        assert (standing.streak, standing.suspects_until) == (deaths, 50)
        assert standing.is_suspect(10) == standing.is_suspect(49) == (deaths >= 2)
        assert not standing.is_suspect(50)
        standing.opened = True
        known = standing.at(10)


def test_the_streak_is_counted_up_to_a_bound() -> None:
    assert judged(open_at(0, 9, streak=100), 0, END, "b").streak == 100


def test_an_owner_that_finds_its_own_mark_has_not_died_but_may_still_run_jobs() -> None:
    standing = judged(open_at(10, 40, streak=1), 10, END, "a")
    assert (standing.streak, standing.suspects_until) == (1, 50)
    assert standing.at(10).state is State.OPEN


def test_a_partition_without_anything_that_could_have_run_is_nobodys_death() -> None:
    standing = judged(open_at(10, 40), 10, 10, "b")
    assert (standing.streak, standing.window_end) == (0, 0)
    unread = judged(None, 10, END, "b")
    assert (unread.streak, unread.window_end) == (0, 0)


def test_the_window_ends_with_the_partition() -> None:
    assert judged(open_at(10, 400), 10, 30, "b").suspects_until == 30


def test_a_commit_before_the_first_job_tells_of_the_deaths_before() -> None:
    """Should this owner die now, nobody died with a job, and nothing is forgotten."""
    first = judged(open_at(10, 40, streak=1), 10, END, "b").at(10)
    assert (first.state, first.streak, first.window) == (State.CLEAN, 2, 40)
    assert judged(first, 10, END, "c").streak == 2


def test_a_clean_revoke_in_the_middle_of_probation_keeps_streak_and_window() -> None:
    standing = judged(open_at(10, 40, streak=1), 10, END, "b")
    standing.opened, standing.window_end = True, 300
    standing.opened = False
    following = judged(standing.at(30), 30, END, "c")
    assert (following.streak, following.suspects_until) == (2, 50)


def test_the_streak_ends_when_the_commit_point_has_passed_the_window() -> None:
    standing = judged(open_at(10, 40, streak=1), 10, END, "b")
    standing.opened, standing.window_end = True, 300
    assert standing.at(49).streak == 2
    assert standing.at(50).streak == 0
    assert judged(standing.at(50), 50, END, "c").streak == 1


def test_a_death_is_counted_for_the_job_that_ran_alone() -> None:
    known = replace(Standing("a", opened=True, streak=2, suspects_until=50, window_end=50), lone=20)
    once = judged(known.at(10), 10, END, "b")
    assert once.deaths == {20: 1}
    assert once.lone is None, "it does not run alone yet in this owner"
    assert not once.is_to_blame(20, blamed_before=False)
    assert once.is_to_blame(20, blamed_before=True)
    once.opened, once.lone = True, 20
    twice = judged(once.at(10), 10, END, "c")
    assert not twice.is_to_blame(20, blamed_before=False)
    twice.opened, twice.lone = True, 20
    thrice = judged(twice.at(10), 10, END, "d")
    assert thrice.is_to_blame(20, blamed_before=False)
    assert not thrice.is_to_blame(21, blamed_before=True)


def test_those_that_ran_in_children_when_a_worker_died_must_be_alone() -> None:
    standing = Standing("a", opened=True, streak=2, suspects_until=50, window_end=50)
    standing.beside = {12, 20}
    standing.deaths[12] = 1
    following = judged(standing.at(10), 10, END, "b")
    assert (following.deaths, following.beside) == ({12: 1, 20: 0}, set())
    assert [at for at in range(10, 50) if following.must_be_alone(at)] == [12, 20]
    assert all(following.is_suspect(at) for at in range(10, 50))
    assert not following.is_to_blame(20, blamed_before=True)
    following.charged(20)
    assert not following.must_be_alone(20)


def test_those_that_ran_in_children_when_a_worker_left_in_order_need_not_be_alone() -> None:
    standing = Standing("a", streak=2, suspects_until=50, window_end=50, beside={12})
    assert judged(standing.at(10), 10, END, "b").deaths == {}


def test_another_one_alone_in_between_takes_no_death_back() -> None:
    standing = Standing("a", opened=True, streak=2, suspects_until=50, window_end=50)
    standing.deaths[20] = 1
    standing.lone = 15
    standing = judged(standing.at(10), 10, END, "b")
    assert standing.deaths == {15: 1, 20: 1}
    standing.opened, standing.lone = True, 20
    assert judged(standing.at(10), 10, END, "c").deaths == {15: 1, 20: 2}


def test_an_owner_that_leaves_in_order_while_a_job_runs_alone_is_no_death_of_it() -> None:
    standing = Standing("a", streak=2, suspects_until=50, window_end=50, lone=20, deaths={20: 1})
    assert judged(standing.at(10), 10, END, "b").deaths == {20: 1}


def test_deaths_are_told_only_of_jobs_that_are_not_done() -> None:
    standing = Standing("a", opened=True, window_end=90, lone=20, deaths={20: 1, 30: 1})
    assert judged(standing.at(30), 30, END, "b").deaths == {30: 1}
    standing.charged(30)
    assert judged(standing.at(10), 10, END, "a").deaths == {20: 1}
    standing.charged(99)  # nothing was known of it


def test_what_is_noted_of_suspects_gives_way_when_there_is_no_room() -> None:
    standing = Standing("a", opened=True, window_end=90, lone=20, deaths={20: 1})
    standing.parked.park(ParkedKey(25, 2, 1, 1_000))
    assert standing.mute()
    assert not standing.mute()
    following = judged(standing.at(10), 10, END, "b")
    assert (following.deaths, len(following.parked)) == ({}, 1)
    assert not Standing("a").mute()


@pytest.mark.parametrize("extra", [b"\x09\x01\x00", b"\x02\x02\xff\xff", b"\xff"])
def test_extras_that_cannot_be_read_skip_nothing_and_count_the_death(extra: bytes) -> None:
    standing = judged(replace(open_at(10, 40), extra=extra), 10, END, "b")
    assert (standing.streak, standing.deaths, len(standing.parked)) == (1, {}, 0)
